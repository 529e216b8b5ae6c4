"""Of the third level: somebody becomes a member at the till, with head office or without."""

from __future__ import annotations

from typing import Any, Final

from edge_agent.kit.cashier import Cashier
from edge_agent.kit.check import Check, check
from edge_agent.kit.finding import require
from edge_agent.kit.laws import codes_of
from edge_agent.kit.level import Level
from edge_agent.kit.reply import Reply, require_ok, require_refused

_OUTCOMES: Final = frozenset({"new", "known", "provisional"})
_SHOWN_DIGITS: Final = 2


@check(
    Level.FULL,
    done="Registered the phone twice under one operation id and once under another; looked it up.",
    expected="One member each time, found by the phone at once, with two digits of it at the most.",
    hint="Repeat a registration with its operation_id; sell to the id that it answers with.",
)
async def registration(cashier: Cashier) -> str:
    """Somebody is a member from the moment they are told so, and only once."""
    wish = {"operation_id": cashier.new_id(), "consents": {"rules": True}}
    first = require_ok(await _register(cashier, wish))
    again = require_ok(await _register(cashier, wish))
    anew = require_ok(await _register(cashier, {**wish, "operation_id": cashier.new_id()}))
    shown = require_ok(await _shown(cashier))
    members = {str(each.at("member", "id")) for each in (first, again, anew, shown)}
    require(first.at("outcome") in _OUTCOMES, first.shown)
    came = " / ".join(each.shown for each in (first, again, anew, shown))
    require(shown.at("outcome") == "found" and len(members) == 1, came)
    require(len(first.at("member", "phone_end") or "") <= _SHOWN_DIGITS, first.shown)
    priced = await cashier.calculated(cashier.receipt(customer={"id": members.pop()}))
    require(codes_of(priced.at("notices")) == [], priced.at("notices"))
    return first.shown


@check(
    Level.FULL,
    done="Tried to register the phone without the customer's consent to the rules.",
    expected="400 consent_needed at /consents/rules.",
    hint="Ask the customer, and send consents as they were given: {rules: true, sms: false}.",
)
async def registration_needs_consent(cashier: Cashier) -> str:
    """Nobody becomes a member without wanting it."""
    wish = {"operation_id": cashier.new_id(), "consents": {"rules": False, "sms": True}}
    refused = require_refused(await _register(cashier, wish), 400, "consent_needed")
    require(refused.at("pointer") == "/consents/rules", refused.shown)
    return refused.shown


async def _shown(cashier: Cashier) -> Reply:
    body = {"register": cashier.stand.register, "phone": cashier.phone()}
    return await cashier.till.call("POST", "/v1/customers/identify", body)


async def _register(cashier: Cashier, wish: dict[str, Any]) -> Reply:
    body = {"register": cashier.stand.register, "phone": cashier.phone(), **wish}
    return await cashier.till.call("POST", "/v1/customers/register", body)


NEWCOMERS: Final[tuple[Check, ...]] = (registration, registration_needs_consent)
