"""The container of files carried by hand: closed to one reader, signed by its maker, read in parts.

Layout: the magic, the header (u32 length, msgpack), parts (u32 length, ChaCha20-Poly1305 under a
counter), a zero u32, and 64 bytes of signature over the SHA-256 of all before. The key comes from
X25519 of a pair made for this file alone and the reader's key. Nothing of a file is used before its
signature was checked, so one that was cut or changed on the way changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.crypto.signing import Signer, verify
from shared.errors import InputError, TooLargeError, TrustError
from shared.limits import SYNC_FILE_BYTES_MAX, SYNC_HEADER_BYTES_MAX, SYNC_PART_BYTES_MAX
from shared.unreadable import UNREADABLE
from shared.wire.files import FILE_ID_BYTES, FileHeader

MAGIC: Final = b"KOPILKA-SYNC-1\n"
KEY_BYTES: Final = 32
QUESTION_SUFFIX: Final = ".question.sync"
ANSWER_SUFFIX: Final = ".answer.sync"
_LENGTH_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 64
_TAG_BYTES: Final = 16
_PIECE_BYTES: Final = 2**20
_END_BYTES: Final = _LENGTH_BYTES + _SIGNATURE_BYTES
_AGAIN: Final = "Copy it again, or make it again; nothing was changed by it."
_CENTRAL_KEY: Final = b"kopilka.sync.central.v1"


def answer_path(question: Path) -> Path:
    """Where the answer to a question goes, when nobody says otherwise: beside it."""
    return question.with_name(question.name.removesuffix(QUESTION_SUFFIX) + ANSWER_SUFFIX)


def public_key_of(private_key: bytes) -> bytes:
    """The X25519 public key of 32 private bytes."""
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def central_key(signer: Signer) -> bytes:
    """Head office's private X25519 key for these files, made of the key that signs programmes."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_CENTRAL_KEY).derive(
        signer.private_bytes()
    )


class SyncWriter:
    """Writes one file: ``add`` parts, then ``finish``. ``size_bytes``: so far."""

    def __init__(
        self, out: BinaryIO, header: FileHeader, *, private_key: bytes, signer: Signer
    ) -> None:
        """``private_key``: 32 random bytes, of ``header.public_key``."""
        assert public_key_of(private_key) == header.public_key, "the header names the file's key"
        self._out = out
        self._purpose = header.purpose.value
        self._signer = signer
        self._hash = hashlib.sha256()
        self._parts = 0
        self.size_bytes = 0
        head = msgspec.msgpack.encode(header)
        self._write(MAGIC + len(head).to_bytes(_LENGTH_BYTES, "big") + head)
        self._bound_to = self._hash.digest()
        self._cipher = _cipher(header, private_key, header.reader_key)

    def add(self, part: bytes) -> None:
        """One more part, of at most ``SYNC_PART_BYTES_MAX`` bytes."""
        assert len(part) <= SYNC_PART_BYTES_MAX, "a part is cut before it gets here"
        closed = self._cipher.encrypt(_counter(self._parts), part, self._bound_to)
        self._parts += 1
        self._write(len(closed).to_bytes(_LENGTH_BYTES, "big") + closed)

    def has_room(self, part_bytes: int) -> bool:
        """Whether a part of so many bytes still fits."""
        more = _LENGTH_BYTES + part_bytes + _TAG_BYTES
        return self.size_bytes + more + _END_BYTES <= SYNC_FILE_BYTES_MAX

    def finish(self) -> None:
        """The end and the signature."""
        self._write(bytes(_LENGTH_BYTES))
        self._out.write(self._signer.sign(f"sync-{self._purpose}", self._hash.digest()))
        self.size_bytes += _SIGNATURE_BYTES

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._hash.update(data)
        self.size_bytes += len(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a part stands in its file."""

    number: int
    at: int


class SyncReader:
    """Reads one file of at most ``SYNC_FILE_BYTES_MAX`` bytes that can be sought in."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the header only; nothing is believed yet.

        Raises:
            InputError: ``no_sync_file``; ``file_cut``.
            TooLargeError: it is larger than any such file.
        """
        self._file = file
        size_bytes = file.seek(0, 2)
        if size_bytes > SYNC_FILE_BYTES_MAX:
            raise TooLargeError("the file is larger than agreed", hint=_AGAIN)
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC:
            raise InputError(
                "this is no Kopilka sync file",
                hint="Choose the file that was exported.",
                code="no_sync_file",
            )
        length = int.from_bytes(self._exactly(_LENGTH_BYTES), "big")
        if length > SYNC_HEADER_BYTES_MAX:
            raise _damaged()
        try:
            self.header = msgspec.msgpack.decode(self._exactly(length), type=FileHeader)
        except UNREADABLE as error:
            raise _damaged() from error
        sizes = (self.header.file_id, FILE_ID_BYTES), (self.header.reader_key, KEY_BYTES)
        if any(len(each) != size for each, size in (*sizes, (self.header.public_key, KEY_BYTES))):
            raise _damaged()
        self._cipher: ChaCha20Poly1305 | None = None
        self._bound_to = b""
        self._begins_at = file.tell()
        self._size_bytes = size_bytes

    def check(self, trusted: Mapping[str, bytes]) -> None:
        """Go over the whole file: all of it has to be there, signed by the one it names.

        ``trusted``: raw public keys by ``key_id_of``.

        Raises:
            InputError: ``file_cut``: its end is missing.
            SignatureError: it was changed, or signed by nobody who is trusted.
        """
        self._find_end()
        self._file.seek(0)
        seen = hashlib.sha256()
        left = self._size_bytes - _SIGNATURE_BYTES
        while left:
            piece = self._exactly(min(left, _PIECE_BYTES))
            seen.update(piece)
            left -= len(piece)
        signature = self._exactly(_SIGNATURE_BYTES)
        kind = f"sync-{self.header.purpose.value}"
        verify(kind, seen.digest(), signature, self.header.signer_key_id, trusted)

    def _find_end(self) -> None:
        self._file.seek(self._begins_at)
        while length := int.from_bytes(self._exactly(_LENGTH_BYTES), "big"):
            if length > SYNC_PART_BYTES_MAX + _TAG_BYTES:
                raise _damaged()
            self._exactly(length)
        self._exactly(_SIGNATURE_BYTES)
        if self._file.tell() != self._size_bytes:
            raise _damaged()

    def open_with(self, private_key: bytes) -> None:
        """Be ready to read parts; ``check`` the file first.

        Raises:
            TrustError: ``other_reader``: it is closed to another key.
        """
        if public_key_of(private_key) != self.header.reader_key:
            raise TrustError(
                "this file is closed to another reader",
                code="other_reader",
                hint="It belongs to another head office, or to another agent.",
            )
        self._file.seek(0)
        self._bound_to = hashlib.sha256(self._exactly(self._begins_at)).digest()
        self._cipher = _cipher(self.header, private_key, self.header.public_key)

    def parts(self) -> Iterator[tuple[Place, bytes]]:
        """Every part in order, with its place."""
        at, number = self._begins_at, 0
        while True:
            self._file.seek(at)
            length = int.from_bytes(self._exactly(_LENGTH_BYTES), "big")
            if not length:
                return
            place = Place(number=number, at=at)
            yield place, self.part(place)
            at += _LENGTH_BYTES + length
            number += 1

    def part(self, place: Place) -> bytes:
        """One part again.

        Raises:
            TrustError: ``damaged``: it cannot be opened.
        """
        assert self._cipher is not None, "open the file first"
        self._file.seek(place.at)
        length = int.from_bytes(self._exactly(_LENGTH_BYTES), "big")
        try:
            return self._cipher.decrypt(
                _counter(place.number), self._exactly(length), self._bound_to
            )
        except InvalidTag as error:
            raise _damaged() from error

    def _exactly(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise InputError("the end of the file is missing", code="file_cut", hint=_AGAIN)
        return data


def _cipher(header: FileHeader, private_key: bytes, public_key: bytes) -> ChaCha20Poly1305:
    """Both sides come to the same key: X25519 of one's private and the other's public key."""
    try:
        shared_secret = X25519PrivateKey.from_private_bytes(private_key).exchange(
            X25519PublicKey.from_public_bytes(public_key)
        )
    except ValueError as error:
        raise _damaged() from error
    key = HKDF(
        algorithm=SHA256(),
        length=KEY_BYTES,
        salt=header.public_key + header.reader_key,
        info=b"kopilka.sync.v1." + header.purpose.value.encode("ascii"),
    ).derive(shared_secret)
    return ChaCha20Poly1305(key)


def _counter(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _damaged() -> TrustError:
    return TrustError("the file is damaged", code="damaged", hint=_AGAIN)
