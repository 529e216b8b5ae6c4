"""Golden receipts: whoever would price otherwise than head office refuses the bundle."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

import shared.bundle.golden
from shared.bundle.golden import answer_sha256, prove_golden
from shared.bundle.trust import VerifiedBundle, open_bundle
from shared.bundle.writer import write_bundle
from shared.engine.evaluate import evaluate
from shared.engine.ready import Ready
from shared.errors import TrustError
from shared.wire.answer import Answer
from tests.support.bundles import SIGNER, TRUSTED, a_program, receipts

READY = Ready(a_program())


def opened(count: int = 12) -> VerifiedBundle:
    data = write_bundle(a_program(), SIGNER, created_at_ms=1, golden=receipts(count))
    return open_bundle(data, TRUSTED, version_floor=0)


def refusal(bundle: VerifiedBundle) -> TrustError:
    with pytest.raises(TrustError) as refused:
        prove_golden(bundle)
    assert refused.value.stable_code == "golden_differs"
    return refused.value


def test_receipts_come_out_as_written() -> None:
    """The engine that wrote a bundle agrees with itself, and the answers do say something."""
    bundle = opened()
    prove_golden(bundle)

    assert len({each.answer_sha256 for each in bundle.golden}) == len(bundle.golden)
    assert all(evaluate(READY, each.receipt).total.discount_minor for each in bundle.golden)


def test_one_kopeck_is_found_and_the_receipt_named() -> None:
    """An engine that gives another discount is told of by the first receipt it is wrong about."""
    other = dataclasses.replace(opened(), ready=Ready(a_program(percent_ppm=101_000)))

    assert "golden-1 " in refusal(other).message


def test_what_cannot_be_priced_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that breaks on a receipt would break at a till."""

    def broken(*_: object) -> Answer:
        raise ZeroDivisionError

    bundle = opened()
    monkeypatch.setattr(shared.bundle.golden, "evaluate", broken)

    error = refusal(bundle)
    assert "cannot be priced" in error.message
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_every_field_of_an_answer_counts() -> None:
    """Change any one thing in an answer, and its digest is another."""
    answer = evaluate(READY, receipts(1)[0])
    line = answer.lines[0]
    changed = [
        msgspec.structs.replace(answer, optimal=not answer.optimal),
        msgspec.structs.replace(answer, accrued=[]),
        msgspec.structs.replace(answer, applied=[*answer.applied, "another"]),
        msgspec.structs.replace(
            answer,
            lines=[msgspec.structs.replace(line, net_minor=line.net_minor + 1), *answer.lines[1:]],
        ),
        msgspec.structs.replace(
            answer,
            lines=[msgspec.structs.replace(line, parts=line.parts[:-1]), *answer.lines[1:]],
        ),
    ]

    digests = {answer_sha256(each) for each in [answer, *changed]}
    assert len(digests) == 1 + len(changed)


def test_a_field_of_a_later_release_that_says_nothing_does_not_count() -> None:
    """Head office may be renewed first: what it would add to answers stays out until it is used."""

    class Later(Answer, frozen=True, kw_only=True, array_like=True):
        stickers: tuple[str, ...] = ()

    answer = evaluate(READY, receipts(1)[0])
    later = Later(**msgspec.structs.asdict(answer))

    assert answer_sha256(later) == answer_sha256(answer)
    assert answer_sha256(msgspec.structs.replace(later, stickers=("one",))) != answer_sha256(answer)


def test_the_order_in_which_a_receipt_keeps_its_facts_does_not_count() -> None:
    """Two mappings that are equal give the same bundle."""
    receipt = receipts(1)[0]
    turned = msgspec.structs.replace(
        receipt,
        lines=[
            msgspec.structs.replace(line, attributes=dict(reversed(line.attributes.items())))
            for line in receipt.lines
        ],
    )
    assert list(turned.lines[1].attributes) != list(receipt.lines[1].attributes)

    first, second = (
        write_bundle(a_program(), SIGNER, created_at_ms=1, golden=[each])
        for each in (receipt, turned)
    )
    assert first == second
