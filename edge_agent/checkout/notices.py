"""What a till should tell its cashier about a receipt it had priced: names this shop does not know.

None of it stops a sale. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shared.wire.facts import Incident
from shared.wire.problem import Finding
from shared.wire.receipt import Coupon

_COUPON_STATES: Final = {
    "unknown": ("unknown_coupon", "This shop knows no such coupon, or it is not valid yet."),
    "expired": ("coupon_expired", "The coupon has expired."),
    "used": ("coupon_used", "The coupon has been used already."),
    "reserved": ("coupon_reserved", "The right to use this coupon is not in this shop now."),
}

STATE_OF_NOTICE: Final = {code: state for state, (code, _) in _COUPON_STATES.items()}
"""What a notice says of the state of a coupon."""


def notices_of(
    coupons: Iterable[Coupon], incidents: Iterable[Incident], *, customer_unknown: bool
) -> tuple[Finding, ...]:
    """Everything to be told; ``customer_unknown``: an id was given that nobody here has."""
    found = []
    for incident in incidents:
        if incident.code == "unknown_card":
            found.append(
                Finding(
                    code="unknown_card",
                    detail="This shop knows no such card; the receipt is priced without one.",
                    pointer="/customer/card",
                    hint="A card issued a moment ago comes as soon as there is an uplink.",
                )
            )
        if incident.code == "customer_blocked":
            found.append(
                Finding(
                    code="customer_blocked",
                    detail="The customer is blocked; the receipt is priced without one.",
                    pointer="/customer",
                )
            )
    if customer_unknown:
        found.append(
            Finding(
                code="unknown_customer",
                detail="This shop knows no such customer; head office will look at what is earned.",
                pointer="/customer/id",
            )
        )
    for index, coupon in enumerate(coupons):
        if coupon.state in _COUPON_STATES:
            code, detail = _COUPON_STATES[coupon.state]
            found.append(Finding(code=code, detail=detail, pointer=f"/coupons/{index}"))
    return tuple(found)
