"""The configuration file is read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.config import CONFIG_FILE, Config
from shared.errors import InputError, NotFoundError

CONFIG = Config(central_url="https://central:8471", edge_id=7, store_id='S"1', ca_file="ca.pem")


def test_written_configuration_reads_back(tmp_path: Path) -> None:
    """What enrolment writes, the agent reads, quotes in names included."""
    (tmp_path / CONFIG_FILE).write_text(CONFIG.to_toml(), "utf-8")
    assert Config.load(tmp_path) == CONFIG


def test_missing_file_names_the_way_out(tmp_path: Path) -> None:
    """An agent that was never enrolled says so."""
    with pytest.raises(NotFoundError) as caught:
        Config.load(tmp_path)
    assert "enrol" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "line",
    ["nonsense = 1", "hello_interval_s = 0", "listen_port = 70000", "feed_wait_s = 60", "x ="],
)
def test_faulty_configuration_is_refused(tmp_path: Path, line: str) -> None:
    """Unknown keys, values out of bounds and broken TOML are refused, not guessed at."""
    text = "".join(
        kept
        for kept in CONFIG.to_toml().splitlines(keepends=True)
        if kept.split(" =")[0] != line.split(" =", maxsplit=1)[0]
    )
    (tmp_path / CONFIG_FILE).write_text(text + line + "\n", "utf-8")
    with pytest.raises(InputError):
        Config.load(tmp_path)


def test_back_off_bounds_must_not_cross(tmp_path: Path) -> None:
    """The longest wait is not shorter than the shortest."""
    text = CONFIG.to_toml().replace("backoff_max_s = 300.0", "backoff_max_s = 0.1")
    (tmp_path / CONFIG_FILE).write_text(text, "utf-8")
    with pytest.raises(InputError):
        Config.load(tmp_path)
