"""``kopilka-rules``: check, compile, tell, try and compare programme documents."""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys

from shared.errors import AppError
from shared.system import SystemChance, SystemClock


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is 0, 1 for what is refused, 2 for wrong usage."""
    if arguments is None:
        # Until there is something to tidy, Ctrl-C may simply end it: loading takes a moment, in
        # which it must not show a stack trace.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from rules_compiler.commands.documents import (  # noqa: PLC0415 - after the line above
        RefusedError,
        show_findings,
    )
    from rules_compiler.commands.machine import (  # noqa: PLC0415
        INTERRUPTED,
        OK,
        REFUSED,
        USAGE,
        Machine,
    )
    from rules_compiler.commands.registry import COMMANDS  # noqa: PLC0415
    from rules_compiler.commands.screen import complaints  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="kopilka-rules", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.arguments(
            commands.add_parser(
                name,
                help=command.SUMMARY,
                description=command.SUMMARY[0].upper() + command.SUMMARY[1:] + ".",
                epilog="examples:\n" + command.EXAMPLES,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Half a character in a name, or a terminal of another alphabet, must not end anything.
            stream.reconfigure(errors="backslashreplace")
    if arguments is None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = COMMANDS[options.command].run(
            options, Machine(clock=SystemClock(), chance=SystemChance())
        )
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (a pager, head); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except RefusedError as error:
        show_findings(complaints(), error.path, error.diagnostics)
        return REFUSED
    except AppError as error:
        complaints().line(f"kopilka-rules: {error.message}.", style="bold red")
        if error.hint:
            complaints().line(error.hint)
        return REFUSED
    except OSError as error:
        _tell_os_error(error)
        return USAGE
    return code


def _tell_os_error(error: OSError) -> None:
    """A file that is missing or cannot be used, and what to do about it."""
    name = "" if error.filename is None else f"{error.filename}: "
    print(f"kopilka-rules: {name}{error.strerror or error}.", file=sys.stderr)
    hints = {
        errno.ENOENT: f"Check the name; this is the folder {os.getcwd()}.",  # noqa: PTH109
        errno.EISDIR: "A file is wanted, not a folder.",
        errno.EEXIST: "It is never overwritten: give another name, or use what is there.",
        errno.EACCES: "You may not use it; look at its owner and mode.",
    }
    if error.errno in hints:
        print(hints[error.errno], file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
