"""Bundles on a real folder: what is let in, what stays, what a restart finds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import shared.bundle.golden
from edge_agent.bundles.service import BundleService
from shared.bundle.writer import write_bundle
from shared.crypto.signing import Signer
from shared.engine.evaluate import evaluate
from shared.engine.program import Group, Program, Resolve
from shared.engine.ready import Ready
from shared.errors import AppError, ConflictError, RollbackError, SignatureError, TrustError
from shared.wire.answer import Answer
from shared.wire.receipt import Receipt
from tests.support.bundles import a_program, receipts

SIGNER = Signer(bytes(range(32)))
STRANGER = Signer(bytes(range(1, 33)))
TRUSTED = {SIGNER.key_id: SIGNER.public_key}


def bundle(version: int, *, signer: Signer = SIGNER, created_at_ms: int = 1) -> bytes:
    program = Program(
        programme="shops",
        version=version,
        currency="RUB",
        timezone="Europe/Moscow",
        groups=[Group(id="main", resolve=Resolve.ALL, promotions=[])],
        accounts=[],
    )
    return write_bundle(program, signer, created_at_ms=created_at_ms)


def golden_bundle(version: int) -> bytes:
    return write_bundle(a_program(version), SIGNER, created_at_ms=1, golden=receipts(5))


def dearer(ready: Ready, receipt: Receipt) -> Answer:
    """An engine with an error in it."""
    answer = evaluate(ready, receipt)
    total = msgspec.structs.replace(answer.total, to_pay_minor=answer.total.to_pay_minor + 1)
    return msgspec.structs.replace(answer, total=total)


def versions(service: BundleService) -> tuple[int | None, int | None]:
    active, previous = service.active, service.previous
    return (
        None if active is None else active.header.version,
        None if previous is None else previous.header.version,
    )


def test_newest_two_survive_a_restart(tmp_path: Path) -> None:
    """After three bundles the last two are at hand, now and after a restart."""
    service = BundleService(tmp_path / "bundles", TRUSTED)
    assert versions(service) == (None, None)
    for version in (1, 2, 3):
        service.offer(bundle(version))

    assert versions(service) == (3, 2)
    assert service.floor == 3
    again = BundleService(tmp_path / "bundles", TRUSTED)
    assert versions(again) == (3, 2)
    assert sorted(path.name for path in (tmp_path / "bundles").iterdir()) == [
        "2.bundle",
        "3.bundle",
    ]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (bundle(4), RollbackError),
        (bundle(6, signer=STRANGER), SignatureError),
        (bundle(6)[:-1] + b"x", SignatureError),
        (bundle(6)[:200], AppError),
        (bundle(5, created_at_ms=2), ConflictError),
        (b"", AppError),
    ],
    ids=["older", "stranger", "changed", "cut", "same version, other contents", "empty"],
)
def test_refused_bundle_leaves_the_old_in_force(
    tmp_path: Path, data: bytes, error: type[AppError]
) -> None:
    """Whatever is wrong with an offer, pricing goes on as before and the reason is kept."""
    service = BundleService(tmp_path, TRUSTED)
    service.offer(bundle(5))

    with pytest.raises(error) as refusal:
        service.offer(data)

    assert versions(service) == (5, None)
    assert service.last_error == f"{refusal.value.stable_code}: {refusal.value.message}"
    assert versions(BundleService(tmp_path, TRUSTED)) == (5, None)


def test_good_bundle_clears_the_error_and_a_repeat_changes_nothing(tmp_path: Path) -> None:
    """The active bundle offered again is no change; a good one ends the error."""
    service = BundleService(tmp_path, TRUSTED)
    service.offer(bundle(1))
    with pytest.raises(AppError):
        service.offer(b"junk")
    active = service.active

    assert service.offer(bundle(1)) is active
    assert service.last_error is None
    assert versions(service) == (1, None)


def test_damaged_file_falls_back_but_never_below_its_version(tmp_path: Path) -> None:
    """With the current file damaged the previous one prices, yet older offers stay refused."""
    service = BundleService(tmp_path, TRUSTED)
    for version in (1, 2, 4):
        service.offer(bundle(version))
    (tmp_path / "4.bundle").write_bytes(bundle(4)[:-3])
    (tmp_path / "incoming.tmp").write_bytes(b"half")

    again = BundleService(tmp_path, TRUSTED)

    assert versions(again) == (2, None)
    assert again.last_error is not None
    assert again.floor == 4
    with pytest.raises(RollbackError):
        again.offer(bundle(3))
    again.offer(bundle(4))
    assert versions(again) == (4, 2)
    assert not (tmp_path / "incoming.tmp").exists()


def test_bundle_whose_receipts_come_out_otherwise_never_prices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that disagrees with head office keeps the old bundle and says which receipt."""
    service = BundleService(tmp_path, TRUSTED)
    service.offer(golden_bundle(1))
    second = golden_bundle(2)
    with monkeypatch.context() as patched:
        patched.setattr(shared.bundle.golden, "evaluate", dearer)
        with pytest.raises(TrustError) as refused:
            service.offer(second)

    assert refused.value.stable_code == "golden_differs"
    assert versions(service) == (1, None)
    assert service.floor == 1
    assert service.last_error is not None
    assert service.last_error.startswith("golden_differs: receipt golden-1 ")
    assert [path.name for path in tmp_path.iterdir()] == ["1.bundle"]

    service.offer(second)
    assert versions(service) == (2, 1)
    assert service.last_error is None
    assert service.active is not None
    assert service.active.golden == (), "proven once, they need not stay in memory"


def test_renewed_agent_that_prices_otherwise_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stored bundle stays in force when its receipts come out otherwise, and status tells."""
    BundleService(tmp_path, TRUSTED).offer(golden_bundle(1))
    monkeypatch.setattr(shared.bundle.golden, "evaluate", dearer)

    again = BundleService(tmp_path, TRUSTED)

    assert versions(again) == (1, None)
    assert again.last_error is not None
    assert again.last_error.startswith("stored bundle 1: golden_differs: receipt golden-1 ")
