"""A second, independent reading of the promotion language, written from its text alone.

Simple and slow; it is there to be compared with the engine. `price(programme, receipt)` takes both
documents as parsed JSON (numbers as strings or integers; floats are read by their shortest text)
and gives the answer of section 10 without a trace. Choices where the text leaves room are listed
in DECISIONS.md beside this file.
"""

from __future__ import annotations

from .answer import price
from .model import TooLargeError, UndecidedError

__all__ = ["TooLargeError", "UndecidedError", "price"]
