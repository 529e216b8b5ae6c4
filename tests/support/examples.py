"""How many examples a law is tried on: more by night (``make nightly``) than in every run."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

NIGHTLY: Final = int(os.environ.get("KOPILKA_EXAMPLES", "0"))


def examples(normal: int) -> settings:
    """So many examples; with ``KOPILKA_EXAMPLES`` at least so many as it says. No clock judges."""
    return settings(max_examples=max(normal, NIGHTLY), deadline=None)
