"""Central as its operator has it: the command ``kopilka-central`` over a folder of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from central.database.embedded import EmbeddedPostgres

COMMAND = Path(sys.executable).with_name("kopilka-central")
PATIENCE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class HeadOffice:
    """One folder, its database, and at most one running server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.web = ""
        self.uplink = ""
        self._server: subprocess.Popen[str] | None = None

    def command(self, name: str, *arguments: str, stdin: str = "") -> Done:
        """Run one command to its end."""
        done = subprocess.run(
            [str(COMMAND), name, "--folder", str(self.folder), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        assert self._server is not None, "it was started"
        return self._server.pid

    def start(self, *arguments: str) -> None:
        """Start the server and wait for its line; ``web`` and ``uplink`` are its addresses."""
        self._server = subprocess.Popen(
            [str(COMMAND), "run", "--folder", str(self.folder), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._server.stdout is not None
        words = self._server.stdout.readline().split()
        assert words[:2] == ["ready", "web"], words
        assert words[3] == "uplink", words
        self.web, self.uplink = words[2], words[4]

    def stop(self) -> int:
        """End the server politely; its exit code."""
        server, self._server = self._server, None
        if server is None:
            return 0
        with server:
            server.send_signal(signal.SIGTERM)
            return server.wait(PATIENCE_S)

    def forget(self) -> None:
        """Take the database away."""
        self.stop()
        EmbeddedPostgres(self.folder).wipe()

    def database_runs(self) -> bool:
        """Whether a server of this folder's database answers."""
        return EmbeddedPostgres(self.folder).is_running()
