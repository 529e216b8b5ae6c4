"""The operator's check of a shop's database."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.__main__ import main
from edge_agent.database.connection import open_writer
from edge_agent.outbox.store import Fact, append_fact, start_stream
from shared.wire.enrol import LaneStart
from shared.wire.stream import Lane


def test_verify_tells_a_whole_chain_from_a_broken_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0 and a count for a whole chain, 1 and the place for a broken one."""
    connection = open_writer(tmp_path / "edge.sqlite")
    start_stream(connection, 7, LaneStart(lane=Lane.RECEIPTS, epoch=1, nonce=b"n" * 16))
    append_fact(connection, 1, Fact(uid=b"u" * 16, kind="t", body=b"", recorded_at_ms=1))
    whole = main(["verify", "--folder", str(tmp_path)])
    connection.execute("UPDATE outbox SET record = x'00'")
    broken = main(["verify", "--folder", str(tmp_path)])
    connection.close()

    assert (whole, broken) == (0, 1)
    out, err = capsys.readouterr()
    assert "1 records" in out
    assert "breaks at record 1" in err


def test_verify_of_a_wrong_folder_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without a database is told, and nothing is made in it."""
    assert main(["verify", "--folder", str(tmp_path)]) == 1
    assert "no edge.sqlite" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
