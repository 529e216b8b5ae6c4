"""What msgspec raises for bytes that do not say what was expected of them."""

from __future__ import annotations

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""To be caught wherever bytes come from elsewhere: another shape, text that is no UTF-8, and
nesting without end, which is met even in fields that are passed over."""
