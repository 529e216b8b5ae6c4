"""``kopilka-demo``: three shops sell a real week through an outage, and then it is proved."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the demo; 0 when every difference is zero, 1 when not, 130 when interrupted."""
    # Until the demo has children there is nothing to tidy, and Ctrl-C may simply end it: loading
    # the libraries takes most of a second, in which it must not show a stack trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from installer.demo.command import run_command  # noqa: PLC0415 - after the line above

    return run_command()


if __name__ == "__main__":
    sys.exit(main())
