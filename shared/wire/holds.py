"""A shop without an agent of its own asks head office to set points aside while its customer pays.

JSON, under a uid of 16 random bytes that the caller makes before it asks: the same uid is the same
hold, however often and in whatever order hold, capture and void arrive. Amounts are in the asset's
smallest unit: points are counted in hundredths.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from shared.limits import IDENTIFIER_CHARS_MAX

HOLDS_PATH = "/v1/holds"
HOLD_S_MIN = 30
HOLD_S_MAX = 24 * 3600
HOLD_S = 15 * 60
"""What paying on the web takes; points that are held for longer are missed elsewhere."""
AMOUNT_MAX = 10**15

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=IDENTIFIER_CHARS_MAX)]
Amount = Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)]


class HoldAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/holds/{uid}. ``asset``: ``points:`` and the account, for instance."""

    owner: Name
    asset: Name
    amount: Amount
    expires_in_s: Annotated[int, msgspec.Meta(ge=HOLD_S_MIN, le=HOLD_S_MAX)] = HOLD_S


class CaptureAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/holds/{uid}/capture: what the sale took, at most what is held."""

    amount: Amount


class HoldState(enum.StrEnum):
    """How it stands with a hold."""

    HELD = "held"
    CAPTURED = "captured"
    RELEASED = "released"
    """Taken back, or its time was over: it never becomes a spend."""
    REFUSED = "refused"
    """Not all of it is free; nothing is held or remembered, so the same uid may ask again."""


class HoldReply(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands now.

    ``available``: where it was refused, what is free of it; ``recalled``: more was asked back from
    shops that hold it, so asking again in a second or two may do.
    """

    state: HoldState
    amount: int = 0
    captured_amount: int = 0
    expires_at_ms: int = 0
    available: int = 0
    recalled: bool = False
