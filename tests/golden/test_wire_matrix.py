"""Old and new ends of a wire: whatever a release wrote, every other makes the same of it.

Three releases meet: the first, the present one, and one after it, which is the present one with
more at the end of everything. What the first two write was frozen when they were made
(``wire_examples``). The first release's reader is played by passing over all that it did not know.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import msgspec
import pytest

from shared.crypto.chain import chain_fold, chain_genesis
from shared.errors import InputError
from shared.frames import LAYOUT_COLUMNS, decode_batch, encoded_records
from shared.wire.stream import Lane
from tests.golden.wire_examples import (
    FOLDER,
    TODAY,
    as_seen_by,
    example,
    fields_of,
    frozen_of,
    known_to,
    lengthened,
    named,
    structures,
)

FIRST: Final = 1
LATER: Final = TODAY + 1
RELEASES: Final = (FIRST, TODAY, LATER)
STRUCTURES: Final = structures()


def written_by(release: int) -> dict[str, bytes]:
    """Every structure as a release puts it on the wire."""
    if release <= TODAY:
        return {name: bytes.fromhex(one["bytes"]) for name, one in frozen_of(release).items()}
    return {
        name: msgspec.msgpack.encode(lengthened(example(structure)))
        for name, structure in STRUCTURES.items()
        if not structure.__struct_config__.forbid_unknown_fields
    }


def fields_at(release: int) -> dict[str, list[str]]:
    """The fields that a release knows."""
    if release <= TODAY:
        return known_to(release)
    return {name: fields_of(structure) for name, structure in STRUCTURES.items()}


@pytest.mark.parametrize("reader", RELEASES)
@pytest.mark.parametrize("writer", RELEASES)
def test_every_release_reads_what_every_other_writes(writer: int, reader: int) -> None:
    """What both know means the same; what one of them does not know stands at its default."""
    known = fields_at(reader)
    for name, data in written_by(writer).items():
        if name not in known:
            continue
        structure = STRUCTURES[name]
        today = msgspec.msgpack.decode(data, type=structure)
        seen = msgspec.convert(as_seen_by(today, known), structure)
        both = set(known[name]) & set(fields_at(writer)[name])
        meant, understood = named(today), named(seen)
        for field in both:
            assert _is_part_of(understood[field], meant[field]), f"{name}.{field}"
        defaults = {
            field.encode_name: field.default
            for field in msgspec.structs.fields(structure)
            if field.encode_name not in known[name] and field.default is not msgspec.NODEFAULT
        }
        assert all(understood[field] == named(value) for field, value in defaults.items()), name


@pytest.mark.parametrize("release", [FIRST, TODAY])
def test_what_a_release_wrote_means_what_it_meant(release: int) -> None:
    """Field by field, by name: no field was taken out, moved or given another type."""
    for name, frozen in frozen_of(release).items():
        assert fields_of(STRUCTURES[name])[: len(frozen["fields"])] == frozen["fields"], (
            f"{name}: fields are only ever appended; if release {release} is not out yet, "
            "freeze it again"
        )
        read = named(msgspec.msgpack.decode(bytes.fromhex(frozen["bytes"]), type=STRUCTURES[name]))
        for field, value in frozen["means"].items():
            assert _is_part_of(value, read[field]), f"{name}.{field}"


@pytest.mark.parametrize("release", [FIRST, TODAY])
def test_records_of_a_release_keep_their_bytes(release: int) -> None:
    """Its frame gives the records whose hashes its chain had."""
    batch = decode_batch((FOLDER / str(release) / "batch.msgpack").read_bytes())
    records = encoded_records(batch)
    assert batch.schema_version == release
    hashes = json.loads((FOLDER / str(release) / "records.json").read_text())
    assert [hashlib.sha256(each).hexdigest() for each in records] == hashes
    head = chain_genesis(1001, Lane.RECEIPTS, 1, bytes(range(16)))
    assert (batch.previous_hash, batch.last_hash) == (head, chain_fold(head, records))


def test_frame_of_a_later_release_is_refused_in_words() -> None:
    """Never misread: whoever cannot read a layout says so, and the sender keeps the records."""
    batch = decode_batch((FOLDER / str(TODAY) / "batch.msgpack").read_bytes())
    with pytest.raises(InputError) as refused:
        encoded_records(msgspec.structs.replace(batch, schema_version=LAYOUT_COLUMNS + 1))
    assert refused.value.stable_code == "unknown_layout"
    with pytest.raises(InputError) as refused:
        encoded_records(msgspec.structs.replace(batch, dictionary_id=60_000))
    assert refused.value.stable_code == "unknown_dictionary"


def _is_part_of(part: Any, whole: Any) -> bool:
    """Whether all that ``part`` says, ``whole`` says too; later fields may be beside it."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and _is_part_of(value, whole[key]) for key, value in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(whole, list)
            and len(part) == len(whole)
            and all(_is_part_of(one, other) for one, other in zip(part, whole, strict=True))
        )
    return bool(part == whole)
