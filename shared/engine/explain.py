"""Why a promotion did or did not act: the codes and the values that decided."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Reason(enum.StrEnum):
    """What decided the fate of a result; part of the contract with tills and screens."""

    APPLIED = "applied"
    NOT_ACTIVE = "not_active"
    """Outside its dates, weekdays or hours."""
    CONDITION = "condition"
    """A condition does not hold; the subject names it."""
    NO_MATCHING_GOODS = "no_matching_goods"
    NOTHING_TO_GAIN = "nothing_to_gain"
    """Goods match, but none of them would become cheaper, or there are too few."""
    FLOOR = "floor"
    """Minimum prices or maximum discounts leave no room."""
    USED_BY_ANOTHER = "used_by_another"
    """Another promotion of the same group has used the goods, or a closing one closed them."""
    ONLY_ONE_OF = "only_one_of"
    """Another promotion of the same family has acted."""
    ANONYMOUS = "anonymous"
    """Points need a customer."""
    LIMIT = "limit"
    """A limit is used up, or would cut the promotion that does not let itself be cut."""
    NOT_CLAIMED = "not_claimed"
    """It acts only where the till claims it."""
    COST = "cost"
    """The customer has not the points that it takes."""
    OUTDONE = "outdone"
    """Other promotions of the same group save more."""
    ALREADY = "already"
    """Another result has done the same before: points of this account are being spent."""
    NOT_REQUESTED = "not_requested"
    """The customer did not ask to spend points."""
    NO_POINTS = "no_points"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The verdict on one condition: does it hold, and what was looked at."""

    holds: bool
    subject: str = ""
    seen: str = ""
    wanted: str = ""


HOLDS: Final = Finding(holds=True)
FAILS: Final = Finding(holds=False)
"""Does not hold, and nobody asks why."""
