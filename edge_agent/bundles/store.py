"""Bundle files in a folder: ``<version>.bundle``; the highest version is the current one.

A file appears whole or not at all (temporary file, fsync, rename), so a power cut at any moment
leaves the bundle that was in force, or the new one.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.limits import BUNDLE_BYTES_MAX

_NAME: Final = re.compile(r"(\d{1,18})\.bundle")
_TEMPORARY: Final = "incoming.tmp"


def stored_versions(folder: Path) -> list[int]:
    """The versions that lie in the folder, the highest first; leftovers of a cut are removed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / _TEMPORARY).exists():  # a disk that is read-only is asked for nothing
        with suppress(OSError):
            (folder / _TEMPORARY).unlink()
    found = [_NAME.fullmatch(path.name) for path in folder.iterdir()]
    return sorted((int(match[1]) for match in found if match), reverse=True)


def read_bundle(folder: Path, version: int) -> bytes:
    """The bytes of one version; at most one byte more than a bundle may have."""
    with _path(folder, version).open("rb") as file:
        return file.read(BUNDLE_BYTES_MAX + 1)


def write_bundle_file(folder: Path, version: int, data: bytes) -> None:
    """Put one version on the medium; when this returns it survives a power cut."""
    temporary = folder / _TEMPORARY
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(_path(folder, version))
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def remove_others(folder: Path, kept: set[int]) -> None:
    """Forget every version that is not kept."""
    for version in stored_versions(folder):
        if version not in kept:
            _path(folder, version).unlink(missing_ok=True)


def _path(folder: Path, version: int) -> Path:
    return folder / f"{version}.bundle"
