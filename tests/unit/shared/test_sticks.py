"""Files on a stick: whole or not at all, and nothing but plain files is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import ConflictError, NotFoundError, TooLargeError, UnavailableError
from shared.sticks import check_stick, open_on_stick, write_on_stick


def test_a_file_is_there_whole_and_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "a.sync"
    assert write_on_stick(path, [b"one ", b"two"]) == 7
    assert path.read_bytes() == b"one two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    with open_on_stick(path, 7) as file:
        assert file.read() == b"one two"


def test_what_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.sync"
    path.write_bytes(b"old")
    with pytest.raises(ConflictError):
        write_on_stick(path, [b"new"])
    assert path.read_bytes() == b"old"


def test_a_rest_of_an_attempt_that_was_cut_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "a.sync.part").write_bytes(b"half")
    assert write_on_stick(tmp_path / "a.sync", [b"whole"]) == 5
    assert [each.name for each in tmp_path.iterdir()] == ["a.sync"]


def test_a_stick_that_refuses_keeps_nothing_under_the_name(tmp_path: Path) -> None:
    def pulled() -> Iterator[bytes]:
        yield b"half"
        raise OSError(5, "Input/output error")

    with pytest.raises(UnavailableError) as refused:
        write_on_stick(tmp_path / "a.sync", pulled())
    assert refused.value.stable_code == "stick_refused"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnavailableError):
        write_on_stick(tmp_path / "gone" / "a.sync", [b"x"])


def test_links_devices_folders_and_pipes_are_not_opened(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_bytes(b"x")
    (tmp_path / "link").symlink_to(real)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "none"):
        with pytest.raises(NotFoundError):
            open_on_stick(tmp_path / name, 10)
    with pytest.raises(NotFoundError):
        open_on_stick(Path("/dev/zero"), 10)


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(11)
    with pytest.raises(TooLargeError):
        open_on_stick(path, 10)


@pytest.mark.parametrize("where", ["/dev/null/a.sync", "/proc/a.sync", "{0}/" + "n" * 300])
def test_a_place_that_takes_no_file_is_told(tmp_path: Path, where: str) -> None:
    """Also where the rest of the attempt cannot be removed either, before anything is done."""
    path = Path(where.format(tmp_path))
    for refused in (lambda: write_on_stick(path, [b"x"]), lambda: check_stick(path)):
        with pytest.raises(UnavailableError) as caught:
            refused()
        assert caught.value.stable_code == "stick_refused"


def test_a_look_at_a_stick_leaves_nothing(tmp_path: Path) -> None:
    check_stick(tmp_path / "a.sync")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.sync").write_bytes(b"old")
    with pytest.raises(ConflictError):
        check_stick(tmp_path / "a.sync")
