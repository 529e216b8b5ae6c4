"""The container of files carried by hand: what goes in comes out, to one reader only."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.crypto.signing import Signer
from shared.errors import AppError, SignatureError, TrustError
from shared.limits import SYNC_FILE_BYTES_MAX, SYNC_PART_BYTES_MAX
from shared.sync_file import SyncReader, SyncWriter, central_key, public_key_of
from shared.wire.files import FileHeader, FilePurpose

SIGNER, READER, OWN = Signer(b"\1" * 32), b"\2" * 32, b"\3" * 32
TRUSTED = {SIGNER.key_id: SIGNER.public_key}
PARTS = st.lists(st.binary(max_size=300), max_size=6)


def made(parts: list[bytes], purpose: FilePurpose = FilePurpose.QUESTION) -> bytes:
    out = io.BytesIO()
    header = FileHeader(
        purpose=purpose,
        edge_id=7,
        store_id="S1",
        file_id=b"f" * 16,
        made_at_ms=1,
        reader_key=public_key_of(READER),
        public_key=public_key_of(OWN),
        signer_key_id=SIGNER.key_id,
    )
    writing = SyncWriter(out, header, private_key=OWN, signer=SIGNER)
    for part in parts:
        assert writing.has_room(len(part))
        writing.add(part)
    writing.finish()
    assert writing.size_bytes == len(out.getvalue())
    return out.getvalue()


def read(data: bytes, trusted: dict[str, bytes] = TRUSTED, key: bytes = READER) -> list[bytes]:
    reader = SyncReader(io.BytesIO(data))
    reader.check(trusted)
    reader.open_with(key)
    found = list(reader.parts())
    # Any part again, in any order.
    assert [reader.part(place) for place, _ in reversed(found)] == [
        part for _, part in reversed(found)
    ]
    return [part for _, part in found]


@given(PARTS, st.sampled_from(FilePurpose))
def test_what_goes_in_comes_out(parts: list[bytes], purpose: FilePurpose) -> None:
    assert read(made(parts, purpose)) == parts


@settings(max_examples=300)
@given(PARTS, st.data())
def test_no_byte_can_be_changed_left_out_or_added(parts: list[bytes], data: st.DataObject) -> None:
    good = made(parts)
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    match data.draw(st.sampled_from(["flip", "cut", "add", "out"])):
        case "flip":
            bad[place] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del bad[place:]
        case "add":
            bad[place:place] = data.draw(st.binary(min_size=1, max_size=4))
        case "out":
            del bad[place]
    if bytes(bad) == good:  # a byte put in beside its like
        return
    with pytest.raises(AppError):
        read(bytes(bad))


def test_parts_cannot_change_places() -> None:
    """Of two parts of one length: the signature says so, and without it the key would."""
    good = made([b"a" * 10, b"b" * 10])
    reader = SyncReader(io.BytesIO(good))
    reader.open_with(READER)
    (first, _), (second, _) = reader.parts()
    moved = bytearray(good)
    moved[first.at : second.at], moved[second.at : 2 * second.at - first.at] = (
        good[second.at : 2 * second.at - first.at],
        good[first.at : second.at],
    )
    with pytest.raises(SignatureError):
        read(bytes(moved))
    other = SyncReader(io.BytesIO(moved))
    other.open_with(READER)
    with pytest.raises(TrustError):
        list(other.parts())


def test_only_the_reader_opens_it_and_only_a_trusted_key_signs() -> None:
    good = made([b"secret words"])
    assert b"secret words" not in good
    with pytest.raises(TrustError) as refused:
        read(good, key=b"\4" * 32)
    assert refused.value.stable_code == "other_reader"
    stranger = Signer(b"\5" * 32)
    with pytest.raises(SignatureError):
        read(good, {stranger.key_id: stranger.public_key})


def test_central_key_is_its_own_and_always_the_same() -> None:
    assert central_key(SIGNER) == central_key(Signer(b"\1" * 32))
    assert central_key(SIGNER) not in {SIGNER.private_bytes(), central_key(Signer(b"\5" * 32))}


def test_a_full_file_says_that_it_is_full() -> None:
    """Counted before it is written, the end and the signature too."""

    class Counting(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            assert isinstance(data, (bytes, memoryview))
            return len(data)

    header = SyncReader(io.BytesIO(made([]))).header
    writing = SyncWriter(io.BufferedWriter(Counting()), header, private_key=OWN, signer=SIGNER)
    piece = b"x" * SYNC_PART_BYTES_MAX
    while writing.has_room(len(piece)):
        writing.add(piece)
    writing.finish()
    assert writing.size_bytes > SYNC_FILE_BYTES_MAX - SYNC_PART_BYTES_MAX - 200
    assert writing.size_bytes <= SYNC_FILE_BYTES_MAX
