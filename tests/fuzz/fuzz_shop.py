"""Fuzz what an agent is told: by tills, by its hub, by central, by its own media. Run by hand.

    .venv/bin/pip install atheris
    .venv/bin/python tests/fuzz/fuzz_shop.py seeds build/fuzz-shop
    .venv/bin/python tests/fuzz/fuzz_shop.py -max_total_time=600 -max_len=4096 build/fuzz-shop

The first byte chooses. Signatures and checksums are made here around what the fuzzer makes, so that
it need not find them: a stranger is refused before, and this is about a partner who is ill. What is
found belongs into tests/unit.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import atheris

with atheris.instrument_imports(include=["edge_agent", "shared"]):
    import msgspec
    import zstandard

    from edge_agent.lan.seal import seal_answer
    from edge_agent.uplink.apply import apply_page
    from edge_agent.uplink.changeover import open_chunk
    from edge_agent.witness.layout import (
        Begun,
        Place,
        Statement,
        pack,
        read_entries,
        read_slot,
    )
    from shared.bundle.layout import FORMAT_BARE, FORMAT_GOLDEN, TAIL_BYTES, BundleHeader
    from shared.bundle.reader import read_header, read_payload
    from shared.engine.program import ENGINE_VERSION
    from shared.errors import AppError
    from shared.wire.feed import (
        BalanceEntry,
        ChunkRef,
        CustomerEntry,
        FeedChange,
        FeedPage,
        LeaseEntry,
        LeaseState,
        Operation,
        Topic,
    )
    from shared.wire.lan import (
        OK,
        Answer,
        BeatAnswer,
        BeatAsk,
        HoldAsk,
        LanCall,
        MoreAsk,
        RelayAsk,
        RightsAnswer,
        RightsAsk,
        Sealed,
        SpendAnswer,
        SpendAsk,
        SubLeaseAnswer,
        SubLeaseAsk,
        SubReturnAsk,
        UsesAsk,
    )
    from tests.support.shop import a_bundle
    from tests.support.shop_network import ASSET, HUB, OWNER, Shop, Till

_CALLS: Final = sorted(LanCall)
_ENCODE: Final = msgspec.msgpack.encode


class _UndoneError(Exception):
    """Ends every trial, so that each begins from the same shop."""


def a_shop() -> Shop:
    """A hub with a lease, and a till that has a part of it."""
    made = Shop(tills_count=1)
    made.hub.lease("L", 1_000, 1)
    made.run(made.tills[0].freeze("warm", 100))
    made.run(made.tills[0].sell("warm", 100))
    made.run(made.tills[0].desk.settle())
    return made


SHOP: Final = a_shop()
TILL: Final[Till] = SHOP.tills[0]


def undone(trial: Callable[[], None]) -> None:
    """An error of ours or none, and nothing of it stays."""
    with suppress(_UndoneError), SHOP.hub.memory.connection, TILL.memory.connection:
        with suppress(AppError):
            trial()
        raise _UndoneError


def ask_hub(data: bytes) -> None:
    """A till that is known asks anything."""
    if data:
        call = _CALLS[data[0] % len(_CALLS)]
        undone(lambda: SHOP.run(SHOP.hub.desk.answer(TILL.edge_id, call, data[1:])) and None)


def knock(data: bytes) -> None:
    """Anybody sends anything."""
    undone(lambda: SHOP.run(SHOP.hub.gate.handle(data)) and None)


def answer_till(data: bytes) -> None:
    """A hub that is known answers anything: the till sells on, and promises nothing it has not."""

    async def line(question: bytes) -> bytes:
        asked = msgspec.msgpack.decode(question, type=Sealed)
        answer = Answer(
            recipient=TILL.edge_id,
            question_sha256=hashlib.sha256(asked.data).digest(),
            code=OK,
            detail="",
            body=data,
        )
        return seal_answer(SHOP.hub.signer, HUB, answer)

    def trial() -> None:
        for step in (
            TILL.desk.elsewhere(OWNER),
            TILL.freeze("r1", 50),
            TILL.sell("r1", 50),
            TILL.desk.settle(),
        ):
            with suppress(AppError):
                SHOP.run(step)

    before, TILL.line = TILL.line, line
    TILL.begin()
    try:
        undone(trial)
    finally:
        TILL.line = before
        TILL.begin()


def tell_feed(data: bytes) -> None:
    """Central says anything: a page, or a piece of a snapshot."""
    if data[:1] < b"\x80":
        try:
            page = msgspec.msgpack.decode(data[1:], type=FeedPage)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if page.complete:
            undone(lambda: apply_page(TILL.memory.connection, page) and None)
        return
    packed = zstandard.compress(data[1:])
    ref = ChunkRef(
        sha256=hashlib.sha256(packed).digest(),
        size_bytes=len(packed),
        raw_bytes=len(data) - 1,
    )
    with suppress(AppError):
        open_chunk(ref, packed)


def give_bundle(data: bytes) -> None:
    """Whoever signs bundles writes anything."""
    with suppress(AppError):
        read_header(data)
    frame = zstandard.compress(data[1:])
    header = BundleHeader(
        programme="p",
        version=1,
        currency="RUB",
        timezone="UTC",
        engine_min=1,
        engine_max=ENGINE_VERSION,
        created_at_ms=0,
        payload_sha256=hashlib.sha256(data[1:]).digest(),
        payload_bytes=len(data) - 1,
        frame_bytes=len(frame),
        payload_format=FORMAT_BARE if data[:1] < b"\x80" else FORMAT_GOLDEN,
    )
    with suppress(AppError):
        read_payload(header, frame)


def read_media(data: bytes) -> None:
    """The second medium holds anything."""
    for piece in (data, pack(msgspec.Raw(data))):
        read_slot(piece)
        list(read_entries(piece))


TARGETS: Final = (ask_hub, answer_till, tell_feed, give_bundle, read_media, knock)


def take_any(data: bytes) -> None:
    """By the first byte."""
    if len(data) > 1:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def _questions() -> dict[LanCall, Any]:
    uid = bytes(range(16))
    return {
        LanCall.RIGHTS: RightsAsk(owner=OWNER, promotions=["p"]),
        LanCall.MORE: MoreAsk(promotion="p", asset=ASSET, amount=100),
        LanCall.USES: UsesAsk(customer_id=OWNER, entries=[]),
        LanCall.HOLD: HoldAsk(uid=uid, receipt_id="r", owner=OWNER, asset=ASSET, amount=10),
        LanCall.CAPTURE: SpendAsk(uid=uid, receipt_id="r"),
        LanCall.VOID: SpendAsk(uid=uid, receipt_id="r"),
        LanCall.SUB_LEASE: SubLeaseAsk(sub_lease_id="s", owner=OWNER, asset=ASSET, amount=10),
        LanCall.SUB_RETURN: SubReturnAsk(sub_lease_id="s", spend_count=1, spent_amount=5),
        LanCall.RELAY: RelayAsk(lane=1, epoch=1, batch=b""),
        LanCall.BEAT: BeatAsk(now_ms=5),
    }


def _answers() -> list[Any]:
    return [
        RightsAnswer(spendable={ASSET: 500}),
        SpendAnswer(state="held", reason="", parts=[]),
        SubLeaseAnswer(lease_id="L", amount=100, spend_until_ms=10**12, reason=""),
        BeatAnswer(wanted_back=["s"], now_ms=1, online=True),
    ]


def _page() -> FeedPage:
    entries: list[tuple[Topic, str, Any]] = [
        (Topic.CUSTOMER, "c2", CustomerEntry(customer_id="c2", card_tags=[bytes(16)])),
        (
            Topic.BALANCE,
            "c2/main",
            BalanceEntry(customer_id="c2", account="main", available_centi=5, as_of_ms=1),
        ),
        (
            Topic.LEASE,
            "L2",
            LeaseEntry(
                lease_id="L2",
                owner="c2",
                asset=ASSET,
                granted=10,
                spend_until_ms=9,
                state=LeaseState.OPEN,
                edge_id=HUB,
            ),
        ),
    ]
    changes = [
        FeedChange(
            topic=topic, key=key, operation=Operation.PUT, version=number, payload=_ENCODE(entry)
        )
        for number, (topic, key, entry) in enumerate(entries, start=1)
    ]
    return FeedPage(cursor="c", changes=changes, complete=True)


def write_seeds(folder: Path) -> None:
    """What is really said, to begin from; noise alone gets nowhere."""
    folder.mkdir(parents=True, exist_ok=True)
    page, bundle = _page(), a_bundle(1)
    header, frame = read_header(bundle[:-TAIL_BYTES])
    place = Place(lane=1, epoch=1, seq=3, hash=bytes(32))
    statement = Statement(
        edge_id=7,
        counter=3,
        heads=[place],
        leases=[],
        left_out=0,
        floor_ms=1,
        boot_id="b",
        boot_ns=1,
    )
    seeds: dict[str, tuple[Callable[[bytes], None], bytes]] = {
        "page": (tell_feed, b"\x00" + _ENCODE(page)),
        "chunk": (tell_feed, b"\xff" + _ENCODE(page.changes)),
        "header": (give_bundle, bundle[:-TAIL_BYTES]),
        "program": (
            give_bundle,
            bytes([0x80 * (header.payload_format - 1)])
            + zstandard.ZstdDecompressor().decompress(frame),
        ),
        "slot": (read_media, _ENCODE(statement)),
        "entry": (read_media, _ENCODE(Begun(lane=1, epoch=2, genesis=bytes(32)))),
    }
    for call, ask in _questions().items():
        seeds[f"ask-{call}"] = (ask_hub, bytes([_CALLS.index(call)]) + _ENCODE(ask))
    for number, answer in enumerate(_answers()):
        seeds[f"answer-{number}"] = (answer_till, _ENCODE(answer))
    for name, (target, data) in seeds.items():
        (folder / name).write_bytes(bytes([TARGETS.index(target)]) + data)


if __name__ == "__main__":
    if sys.argv[1:2] == ["seeds"]:
        write_seeds(Path(sys.argv[2]))
        sys.exit()
    atheris.Setup(sys.argv, take_any)
    atheris.Fuzz()
