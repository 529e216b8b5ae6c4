"""The key of the gift cards is made once, whoever comes first."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from central.config import GIFT_CARDS_KEY_FILE, gift_cards_key
from shared.errors import CorruptionError
from shared.system import SystemChance


def test_many_that_come_at_once_have_one_key(tmp_path: Path) -> None:
    """Processes of one head office start at the same moment; nothing else is left behind."""
    with ThreadPoolExecutor(16) as threads:
        keys = list(threads.map(lambda _: gift_cards_key(tmp_path, SystemChance()), range(64)))
    assert len(set(keys)) == 1
    [path] = tmp_path.iterdir()
    assert path.name == GIFT_CARDS_KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"c2hvcnQ=", b"\xff\xfe", b"no base64!"])
def test_a_damaged_key_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    """With another key every card would be unknown."""
    (tmp_path / GIFT_CARDS_KEY_FILE).write_bytes(content)
    with pytest.raises(CorruptionError):
        gift_cards_key(tmp_path, SystemChance())
    assert (tmp_path / GIFT_CARDS_KEY_FILE).read_bytes() == content
