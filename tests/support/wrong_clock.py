"""A process whose wall clock somebody sets: libfaketime, with the boot clock left alone."""

from __future__ import annotations

from pathlib import Path

_PLACES = ("/usr/lib", "/usr/local/lib")
_NAME = "faketime/libfaketimeMT.so.1"


class WrongClock:
    """The clock of processes started with ``environment``; ``set`` is seen at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set("+0")

    def set(self, moment: str) -> None:
        """``+20y``, ``-1h``, ``+0 x100`` (fast), ``@1970-01-01 00:05:00``."""
        beside = self._file.with_suffix(".new")
        beside.write_text(moment + "\n", "ascii")
        beside.replace(self._file)

    def environment(self) -> dict[str, str]:
        """What such a process is started with."""
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
        }


def _library() -> Path:
    found = [path for place in _PLACES for path in Path(place).glob(f"**/{_NAME}")]
    assert found, "libfaketime is missing: `make setup-tests`, or the package faketime"
    return found[0]
