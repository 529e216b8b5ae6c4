"""``compile`` and ``inspect``: a bundle is signed by a key, and what is in it can be seen."""

from __future__ import annotations

import os
from pathlib import Path

from shared.bundle.trust import open_bundle
from shared.crypto.signing import Signer, key_id_of
from tests.unit.rules_compiler.commands.samples import DOCUMENT, RECEIPT, Run, Write


def test_a_bundle_opens_by_the_new_key(run: Run, document: Path, tmp_path: Path) -> None:
    """``--new-key`` makes a key only the owner can read, and its public half opens the bundle."""
    key, bundle = tmp_path / "key", tmp_path / "shop.bundle"

    said = run("compile", document, "-o", bundle, "--new-key", key)

    assert said.code == 0, said.err
    assert key.stat().st_mode & 0o777 == 0o600
    public = (tmp_path / "key.pub").read_bytes()
    opened = open_bundle(bundle.read_bytes(), {key_id_of(public): public}, version_floor=7)
    assert opened.program.programme == "shop"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "key",
        "key.pub",
        "shop.bundle",
        "shop.json",
    ]


def test_without_a_key_nothing_is_written(run: Run, document: Path, tmp_path: Path) -> None:
    """A bundle for production is never signed by a key nobody chose."""
    said = run("compile", document, "-o", tmp_path / "b")

    assert said.code == 1
    assert "--new-key" in said.err
    assert not (tmp_path / "b").exists()


def test_no_key_is_ever_overwritten(run: Run, document: Path, tmp_path: Path) -> None:
    """``--new-key`` refuses a file that is there."""
    key = tmp_path / "key"
    key.write_bytes(bytes(32))

    said = run("compile", document, "-o", tmp_path / "b", "--new-key", key)

    assert said.code == 2
    assert "never overwritten" in said.err
    assert key.read_bytes() == bytes(32)


def test_what_is_no_key_is_refused(run: Run, document: Path, write: Write) -> None:
    """A key of another length is told, with how to make one."""
    said = run("compile", document, "-o", "unused", "--key", write("key", b"short"))

    assert said.code == 1
    assert "32 raw bytes" in said.err
    assert "--new-key" in said.err


def test_the_same_document_gives_the_same_bytes(
    run: Run, document: Path, write: Write, tmp_path: Path
) -> None:
    """With the time stated, nothing else enters."""
    key = write("key", os.urandom(32))
    for name in ("one", "two"):
        run(
            "compile",
            document,
            *("-o", tmp_path / name, "--key", key, "--created-at", "2026-11-23T12:00:00+03:00"),
        )

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_refused_document_gives_no_bundle(run: Run, write: Write, tmp_path: Path) -> None:
    """Errors are shown and nothing is written, nor a key made."""
    broken = write("broken.json", DOCUMENT | {"version": "x"})

    said = run("compile", broken, "-o", tmp_path / "b", "--new-key", tmp_path / "key")

    assert said.code == 1
    assert "error number at /version" in said.err
    assert not (tmp_path / "b").exists()
    assert not (tmp_path / "key").exists()


def test_inspect_says_whether_the_signature_was_checked(
    run: Run, document: Path, tmp_path: Path, write: Write
) -> None:
    """Without a key it says unverified; by either half of the right key, verified."""
    bundle, key = tmp_path / "b", write("key", bytes(32))
    run("compile", document, "-o", bundle, "--key", key)
    public = write("public", Signer(bytes(32)).public_key)

    plain = run("inspect", bundle)
    by_public = run("inspect", bundle, "--trusted", public)
    by_private = run("inspect", bundle, "--trusted", key)
    by_other = run("inspect", bundle, "--trusted", write("other", bytes(range(32))))

    key_id = Signer(bytes(32)).key_id
    assert f"{key_id}, unverified" in plain.out
    assert f"{key_id}, verified" in by_public.out
    assert f"{key_id}, verified" in by_private.out
    assert (by_other.code, by_other.out) == (1, "")
    assert "not trusted" in by_other.err


def test_inspect_shows_what_is_in_it(run: Run, document: Path, tmp_path: Path) -> None:
    """Versions, sizes, groups, results and index."""
    bundle = tmp_path / "b"
    run("compile", document, "-o", bundle, "--new-key", tmp_path / "key")

    said = run("inspect", bundle)

    assert said.code == 0
    for words in ("shop version 7", "engine min", "payload bytes", "rivals", "discount_goods"):
        assert words in said.out
    assert str(bundle.stat().st_size) in said.out


def test_damaged_bundles_are_refused_without_a_trace(
    run: Run, document: Path, tmp_path: Path, write: Write
) -> None:
    """Cut anywhere, or changed anywhere, or no bundle at all: exit code 1 and a sentence."""
    bundle = tmp_path / "b"
    run("compile", document, "-o", bundle, "--new-key", tmp_path / "key")
    data = bundle.read_bytes()
    samples = [b"", b"PK\x03\x04", *(data[:end] for end in range(0, len(data) - 1, 37))]
    samples += [
        data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :] for at in range(0, len(data), 41)
    ]

    for sample in samples:
        said = run("inspect", write("damaged", sample), "--trusted", tmp_path / "key.pub")
        assert said.code == 1
        assert "Traceback" not in said.err
        run("inspect", write("damaged", sample))


def test_golden_receipts_are_put_in_and_proved(
    run: Run, document: Path, tmp_path: Path, write: Write
) -> None:
    """``--golden`` puts receipts of nobody in; ``inspect`` prices them as a shop would."""
    bundle = tmp_path / "b"
    golden = write("golden.jsonl", [RECEIPT, RECEIPT | {"receipt_id": "r-2"}])

    made = run(
        *("compile", document, "-o", bundle, "--new-key", tmp_path / "key", "--golden", golden)
    )
    said = run("inspect", bundle)

    assert (made.code, said.code) == (0, 0), made.err
    assert "2 golden receipts" in made.out
    assert "golden receipts 2, all come out" in said.out
    public = (tmp_path / "key.pub").read_bytes()
    opened = open_bundle(bundle.read_bytes(), {key_id_of(public): public}, version_floor=0)
    assert [each.receipt.customer.id for each in opened.golden if each.receipt.customer] == [
        None,
        None,
    ]


def test_a_golden_receipt_that_is_refused_is_named(
    run: Run, document: Path, tmp_path: Path, write: Write
) -> None:
    """File, line and place; nothing is written."""
    golden = write("golden.jsonl", [RECEIPT, RECEIPT | {"lines": 5}])

    said = run("compile", document, "-o", tmp_path / "b", "--new-key", "k", "--golden", golden)

    assert said.code == 1
    assert f"{golden}:2: /lines" in said.err
    assert not (tmp_path / "b").exists()
