"""Questions and answers that were not signed by whom they name are nobody's."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.lan.seal import open_answer, open_question, seal_answer, seal_question, sender_of
from shared.crypto.signing import Signer
from shared.errors import AppError, ForbiddenError, SignatureError
from shared.wire.enrol import EdgeKind
from shared.wire.lan import OK, Answer, PeerEntry, Question, Sealed
from tests.support.examples import examples

HUB, TILL, OTHER = 7, 8, 9
SIGNERS = {edge_id: Signer(bytes([edge_id]) * 32) for edge_id in (HUB, TILL, OTHER)}


def peer(edge_id: int, state: str = "active") -> PeerEntry:
    kind = EdgeKind.HUB if edge_id == HUB else EdgeKind.TILL
    key = SIGNERS[edge_id].public_key
    return PeerEntry(edge_id=edge_id, kind=kind, device_public_key=key, state=state)


def a_question(nonce: bytes = b"n" * 16, recipient: int = HUB) -> bytes:
    question = Question(recipient=recipient, call="hold", nonce=nonce, body=b"body")
    return seal_question(SIGNERS[TILL], TILL, question)


def an_answer(question: bytes, signer: Signer | None = None, recipient: int = TILL) -> bytes:
    _, sha256 = open_question(question, HUB, peer(TILL))
    answer = Answer(recipient=recipient, question_sha256=sha256, code=OK, detail="", body=b"yes")
    return seal_answer(signer or SIGNERS[HUB], HUB, answer)


def test_question_and_answer_arrive() -> None:
    """What was asked is answered, by those who are known to each other."""
    question = a_question()
    assert sender_of(question) == TILL
    assert open_question(question, HUB, peer(TILL))[0].body == b"body"
    assert open_answer(an_answer(question), question, TILL, peer(HUB)).body == b"yes"


def test_strangers_and_revoked_agents_ask_in_vain() -> None:
    """Nobody, a revoked till, another's key, another hub's question, an answer as a question."""
    question = a_question()
    with pytest.raises(SignatureError):
        open_question(question, HUB, None)
    with pytest.raises(SignatureError):
        open_question(question, HUB, peer(TILL, "revoked"))
    with pytest.raises(SignatureError):
        open_question(question, HUB, peer(OTHER))
    with pytest.raises(ForbiddenError):
        open_question(a_question(recipient=OTHER), HUB, peer(TILL))
    with pytest.raises(SignatureError):
        open_question(an_answer(question), HUB, peer(HUB))


def test_answers_of_others_and_to_other_questions_are_none() -> None:
    """A replayed answer, one for another till, one that the hub did not sign."""
    question = a_question()
    for false in (
        an_answer(a_question(nonce=b"o" * 16)),
        an_answer(question, recipient=OTHER),
        an_answer(question, signer=SIGNERS[OTHER]),
        question,
    ):
        with pytest.raises(AppError):
            open_answer(false, question, TILL, peer(HUB))


@given(st.integers(0, 400), st.integers(1, 255))
@examples(100)
def test_no_changed_bit_is_believed(place: int, flip: int) -> None:
    """One changed byte anywhere, and the question is nobody's."""
    data = bytearray(a_question())
    data[place % len(data)] ^= flip
    with pytest.raises(AppError):
        open_question(bytes(data), HUB, peer(TILL))


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=50).map(lambda b: b"\x93" + b)))
@examples(200)
def test_any_bytes_are_refused_as_ours(data: bytes) -> None:
    """Whatever a stranger sends ends in one of our refusals."""
    with pytest.raises(AppError):
        open_question(data, HUB, peer(TILL))


def test_newer_fields_are_passed_over() -> None:
    """A till of a later release asks in the same words, with more behind them."""
    question = [HUB, "hold", b"n" * 16, b"body", "newer"]
    data = msgspec.msgpack.encode(question)
    signature = SIGNERS[TILL].sign("lan.question", data)
    sealed = msgspec.msgpack.encode(
        [*msgspec.structs.astuple(Sealed(sender=TILL, data=data, signature=signature)), "newer"]
    )
    assert open_question(sealed, HUB, peer(TILL))[0].call == "hold"
