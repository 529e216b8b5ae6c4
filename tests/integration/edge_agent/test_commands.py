"""Commands beside a running agent: where they find it, and what they say when they cannot write."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_agent import __main__ as command
from edge_agent.config import CONFIG_FILE
from edge_agent.serving import ADDRESS_FILE
from tests.support.shop import make_shop


def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[object, str, str]:
    """How the command ended, and what it said."""
    monkeypatch.setattr(sys, "argv", ["kopilka-edge", *arguments])
    try:
        code: object = command.main()
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("told", "listen", "expected"),
    [
        ("http://127.0.0.1:8555", "127.0.0.1:0", "http://127.0.0.1:8555/"),
        ("http://0.0.0.0:8555", "0.0.0.0:8470", "http://127.0.0.1:8555/"),
        ("http://[::]:8555", "[::]:8470", "http://[::1]:8555/"),
        (None, "0.0.0.0:8470", "http://127.0.0.1:8470/"),
        (None, "[::1]:8471", "http://[::1]:8471/"),
        ("", "127.0.0.1:8470", "http://127.0.0.1:8470/"),
    ],
)
def test_page_names_the_address_that_is_listened_at(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    told: str | None,
    listen: str,
    expected: str,
) -> None:
    """What the agent last said, else what is set; in a form that a browser takes."""
    shop = tmp_path / "shop"
    make_shop(shop, bundle=None)
    host, _, port = listen.rpartition(":")
    lines = [
        line
        for line in (shop / CONFIG_FILE).read_text("utf-8").splitlines()
        if not line.startswith("listen_")
    ]
    listening = [f'listen_host = "{host.strip("[]")}"', f"listen_port = {port}"]
    (shop / CONFIG_FILE).write_text("\n".join([*listening, *lines]) + "\n", "utf-8")
    if told is not None:
        (shop / ADDRESS_FILE).write_text(told, "utf-8")
    code, out, _ = said(monkeypatch, capsys, "page", "--folder", str(shop))
    assert code in (0, None)
    assert out.startswith(f"{expected}page/enter?code=")


@pytest.mark.parametrize("target", ["/dev/null/copy.sqlite", "{0}/" + "n" * 300])
def test_backup_that_finds_no_place_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
) -> None:
    make_shop(tmp_path / "shop", bundle=None)
    where = target.format(tmp_path)
    code, _, err = said(monkeypatch, capsys, "backup", "--folder", str(tmp_path / "shop"), where)
    assert code == 1
    assert "the copy could not be written" in err
    assert "Traceback" not in err
