"""Questions and answers under signatures: who says something, to whom, in answer to what. Pure.

A sealed question is good for one hub, an answer for one question. That a question can be sent twice
by whoever recorded it does no harm: every call means the same the second time.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, TypeVar

import msgspec

from shared.crypto.signing import Signer, key_id_of, verify
from shared.errors import ForbiddenError, InputError, SignatureError
from shared.unreadable import UNREADABLE
from shared.wire.lan import (
    ANSWER_SIGNATURE_KIND,
    NONCE_BYTES,
    QUESTION_SIGNATURE_KIND,
    Answer,
    PeerEntry,
    Question,
    Sealed,
)

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_T = TypeVar("_T")


def sender_of(data: bytes) -> int:
    """Who claims to have sent this; nothing is checked yet.

    Raises:
        InputError: it is no sealed message.
    """
    return decoded(data, Sealed).sender


def seal_question(signer: Signer, sender: int, question: Question) -> bytes:
    """The question as it crosses the network."""
    assert len(question.nonce) == NONCE_BYTES, "a nonce is 16 bytes"
    return _seal(signer, sender, QUESTION_SIGNATURE_KIND, _ENCODE(question))


def open_question(data: bytes, own_edge_id: int, peer: PeerEntry | None) -> tuple[Question, bytes]:
    """The question and the hash that its answer names; ``peer``: who ``sender_of`` says it is.

    Raises:
        InputError: it is no question.
        SignatureError: the sender is not known here as active, or did not sign this.
        ForbiddenError: ``other_hub``: it is meant for somebody else.
    """
    sealed = decoded(data, Sealed)
    _check(sealed, peer, QUESTION_SIGNATURE_KIND)
    question = decoded(sealed.data, Question)
    if question.recipient != own_edge_id:
        raise ForbiddenError(f"this is for agent {question.recipient}", code="other_hub")
    return question, hashlib.sha256(sealed.data).digest()


def seal_answer(signer: Signer, sender: int, answer: Answer) -> bytes:
    """The answer as it crosses the network."""
    return _seal(signer, sender, ANSWER_SIGNATURE_KIND, _ENCODE(answer))


def open_answer(data: bytes, question: bytes, own_edge_id: int, hub: PeerEntry) -> Answer:
    """The hub's answer to the sealed ``question``.

    Raises:
        InputError: it is no answer.
        SignatureError: the hub did not sign this, or not in answer to this question.
    """
    sealed = decoded(data, Sealed)
    _check(sealed, hub, ANSWER_SIGNATURE_KIND)
    answer = decoded(sealed.data, Answer)
    asked = hashlib.sha256(decoded(question, Sealed).data).digest()
    if answer.recipient != own_edge_id or answer.question_sha256 != asked:
        raise SignatureError("this answers another question")
    return answer


def decoded(data: bytes, kind: type[_T]) -> _T:
    """A structure of ``shared.wire.lan``; fields of a newer release are passed over.

    Raises:
        InputError: the bytes are not one.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except UNREADABLE as error:
        raise InputError(f"no {kind.__name__}: {error}", code="bad_message") from error


def encoded(message: Any) -> bytes:
    """A structure of ``shared.wire.lan`` as bytes."""
    return _ENCODE(message)


def _seal(signer: Signer, sender: int, kind: str, data: bytes) -> bytes:
    return _ENCODE(Sealed(sender=sender, data=data, signature=signer.sign(kind, data)))


def _check(sealed: Sealed, peer: PeerEntry | None, kind: str) -> None:
    if peer is None or peer.edge_id != sealed.sender or peer.state != "active":
        raise SignatureError(
            f"agent {sealed.sender} is not known here as an active agent of this store",
            code="unknown_peer",
            hint="Head office tells the agents of a store about each other through the feed.",
        )
    key_id = key_id_of(peer.device_public_key)
    verify(kind, sealed.data, sealed.signature, key_id, {key_id: peer.device_public_key})
