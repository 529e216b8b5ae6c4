"""Builds Kopilka's packages: pure Python, or with the pricing engine compiled by mypyc when asked.

    KOPILKA_COMPILE=1 pip wheel --no-deps .    a wheel whose engine is compiled
    python setup.py compiled                   build/compiled: a copy of shared/ for this checkout

The copy stands apart from the sources, so that nobody runs a stale engine unawares; it is used by
putting it first: PYTHONPATH=build/compiled. It is made anew only when its sources changed.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Final

from setuptools import Command, Extension, setup

PACKAGE: Final = Path("shared")
TARGET: Final = Path("build") / "compiled"
STAMP: Final = "built-from"
BESIDE: Final = (
    "shared/money.py",
    "shared/quantity.py",
    "shared/wire/answer_json.py",
    "shared/wire/receipt_json.py",
)
"""Compiled beside the engine: its divisions, and what is read and written for every receipt."""


class MissingToolError(SystemExit):
    """What compiling needs is not there; the message says what to install."""


def compiled_modules() -> list[str]:
    """The engine's modules but those that define Structs: msgspec makes these, mypyc cannot."""
    engine = sorted(PACKAGE.glob("engine/*.py"))
    return [
        *[str(path) for path in engine if path.stem != "__init__" and not _defines_struct(path)],
        *BESIDE,
    ]


def _defines_struct(path: Path) -> bool:
    return any(
        (isinstance(base, ast.Name) and base.id == "Struct")
        or (isinstance(base, ast.Attribute) and base.attr == "Struct")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    )


def require_compiler() -> None:
    """Say what to install where C cannot be compiled.

    Raises:
        MissingToolError: there is no C compiler, or no headers of this Python.
    """
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(command) is None:
        raise MissingToolError(
            f"Compiling the engine needs a C compiler; {command} is not on the PATH.\n"
            "Install it (sudo apt-get install gcc libc6-dev), then run the same command again."
        )
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        raise MissingToolError(
            f"Compiling the engine needs the headers of Python {platform.python_version()}.\n"
            "Install them (sudo apt-get install python3-dev), then run the same command again."
        )


def extensions(target_dir: str) -> list[Extension]:
    """The compiled modules; C is written below ``target_dir``."""
    require_compiler()
    from mypyc.build import mypycify  # noqa: PLC0415 - only who compiles has it

    return mypycify(
        ["--strict", "--follow-imports=silent", "--config-file=", *compiled_modules()],
        opt_level="3",
        debug_level="0",
        target_dir=target_dir,
    )


class Compiled(Command):
    """Make build/compiled, or leave it as it is when nothing changed."""

    description = "a copy of shared/ with the engine compiled, under build/compiled"
    user_options: ClassVar[list[tuple[str, str | None, str]]] = []

    def initialize_options(self) -> None:
        """Nothing to choose."""

    def finalize_options(self) -> None:
        """Nothing to choose."""

    def run(self) -> None:
        """Build beside the old copy and exchange them; one process at a time."""
        TARGET.parent.mkdir(exist_ok=True)
        with TARGET.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _stamp(TARGET) == _wanted(PACKAGE):
                return
            staging = TARGET.with_suffix(".new")
            shutil.rmtree(staging, ignore_errors=True)
            shutil.copytree(PACKAGE, staging / PACKAGE, ignore=_ignored)
            # From the copy, which does not change while it is compiled.
            wanted = _wanted(staging / PACKAGE)
            if _stamp(TARGET)[:1] == wanted[:1]:
                for path in TARGET.rglob("*.so"):
                    shutil.copy2(path, staging / path.relative_to(TARGET))
            else:
                self._compile(staging)
            (staging / STAMP).write_text("\n".join(wanted) + "\n", "utf-8")
            old = TARGET.with_suffix(".old")
            shutil.rmtree(old, ignore_errors=True)
            if TARGET.exists():
                TARGET.rename(old)
            staging.rename(TARGET)
            shutil.rmtree(old, ignore_errors=True)

    def _compile(self, staging: Path) -> None:
        sys.stdout.write(f"Compiling the engine into {TARGET} (about a minute)\n")
        sys.stdout.flush()
        # The compiler's words are shown only when it fails.
        home, log_path = Path.cwd(), TARGET.with_suffix(".log").resolve()
        os.chdir(staging)
        with log_path.open("w") as log:
            said = os.dup(1)
            try:
                os.dup2(log.fileno(), 1)
                self.distribution.ext_modules = extensions("c")
                build = self.reinitialize_command("build_ext", build_lib=".", build_temp="c/o")
                build.ensure_finalized()
                build.run()
            except (Exception, SystemExit):
                os.dup2(said, 1)
                sys.stderr.write(log_path.read_text("utf-8", "replace")[-4000:])
                raise
            finally:
                os.dup2(said, 1)
                os.close(said)
                os.chdir(home)
        shutil.rmtree(staging / "c")


def _ignored(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__" or name.endswith((".so", ".tmp"))]


def _stamp(target: Path) -> list[str]:
    try:
        return (target / STAMP).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []


def _wanted(package: Path) -> list[str]:
    """Two hashes: of what decides the machine code, and of everything."""
    tools = [platform.python_version(), sys.implementation.cache_tag, version("mypy")]
    start = hashlib.sha256(repr([*tools, os.environ.get("CC")]).encode())
    start.update(Path(__file__).read_bytes())
    code, everything = start.copy(), start.copy()
    closure = _closure(package)
    for path in sorted(package.rglob("*")):
        if path.is_dir() or "__pycache__" in path.parts or _ignored("", [path.name]):
            continue
        data = path.read_bytes()
        each = repr((str(path.relative_to(package)), hashlib.sha256(data).digest())).encode()
        everything.update(each)
        if path in closure:
            code.update(each)
    return [code.hexdigest(), everything.hexdigest()]


def _closure(package: Path) -> set[Path]:
    """The compiled modules and what they import of this package: its types decide the code."""
    root = package.parent
    found: set[Path] = set()
    waiting = [root / module for module in compiled_modules()]
    while waiting:
        path = waiting.pop()
        if path in found or not path.exists():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_bytes())):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *[f"{node.module}.{alias.name}" for alias in node.names]]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            waiting += [
                root / (name.replace(".", "/") + ".py")
                for name in names
                if name.split(".")[0] == package.name
            ]
    return found


def _compiled_wheel() -> list[Extension]:
    try:
        import mypyc  # noqa: F401, PLC0415
    except ImportError:
        return []  # the front end asks what is needed first, and comes again with it
    return extensions("build/c")


if __name__ == "__main__":
    is_asked = os.environ.get("KOPILKA_COMPILE") == "1"
    setup(
        ext_modules=_compiled_wheel() if is_asked else [],
        setup_requires=["mypy>=1.19"] if is_asked and "mypyc" not in sys.modules else [],
        cmdclass={"compiled": Compiled},
    )
