"""A small chain for tests of the web: one store, one agent, one discounted receipt."""

from __future__ import annotations

import json

from aiohttp import web

from central.database.pool import Pool
from central.staff.service import StaffService
from central.web.app import WebSettings, make_web_app
from shared.system import SystemChance, SystemClock
from shared.wire.answer import Answer, Outcome, Totals, TraceEntry

UID = bytes(range(16))
LOGIN, PASSWORD = "anna", "correct horse battery"
_DOCUMENT = {
    "programme": "shops",
    "currency": "RUB",
    "promotions": [
        {"id": "coffee", "name": "Coffee −10 %", "then": [{"do": "discount_goods"}]},
        {"id": "tea", "name": "Tea for two", "then": [{"do": "nth"}]},
    ],
}
_STATEMENTS = (
    "insert into store values ('S1', 'На Мире', 'Europe/Moscow', 'RUB')",
    """insert into edge (edge_id, store_id, kind, device_public_key, credential_sha256,
       last_contact_at, bundle_version, queue_depth)
       values (1, 'S1', 'hub', 'k', 'c', now(), 7, 12)""",
    """insert into receipt values (%(uid)s, 'h', 'R-100', 1, 'S1', 'K1', '2026-11-24', now(), now(),
       'C1', 7, 20000, 2000, 18000, 0, 18000, 500, 0, '', '', null,
       '{1}', '{A}', '{1000}', '{20000}', '{2000}', '{18000}', '{0}', '{18000}',
       '{1}', '{coffee}', '{2000}', '{1000}')""",
    "insert into product (sku, name) values ('A', 'Arabica')",
)


def _entry(promotion: str, outcome: Outcome, reason: str, discount_minor: int) -> TraceEntry:
    return TraceEntry(
        promotion=promotion,
        result_index=0,
        stage="goods",
        outcome=outcome,
        reason=reason,
        discount_minor=discount_minor,
    )


async def replay(uid: bytes) -> Answer:
    """What the engine would say of the receipt; the engine itself has its own tests."""
    return Answer(
        receipt_id=uid.hex(),
        programme="shops",
        version=7,
        optimal=True,
        lines=[],
        total=Totals(
            list_minor=20000,
            discount_minor=2000,
            net_minor=18000,
            points_spent_minor=0,
            to_pay_minor=18000,
        ),
        trace=[
            _entry("tea", Outcome.NOT_APPLIED, "no_matching_goods", 0),
            _entry("coffee", Outcome.APPLIED, "applied", 2000),
        ],
    )


async def small_site(pool: Pool, *, secure: bool = False) -> web.Application:
    """The site over a database with one receipt and one member of staff."""
    clock, chance = SystemClock(), SystemChance()
    async with pool.connection() as connection:
        await connection.execute(
            "insert into bundle values (7, 'shops', 'x', 'b', %(document)s, now(), 'anna')",
            {"document": json.dumps(_DOCUMENT).encode()},
        )
        for statement in _STATEMENTS:
            await connection.execute(
                statement.encode(), {"uid": UID} if "%(uid)s" in statement else None
            )
    staff = StaffService(pool=pool, clock=clock, chance=chance)
    await staff.add_member(LOGIN, PASSWORD)
    staff.close()
    return make_web_app(
        pool=pool, replay=replay, clock=clock, chance=chance, settings=WebSettings(secure=secure)
    )
