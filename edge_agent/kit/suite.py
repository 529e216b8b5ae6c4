"""The certificate: the checks of the levels asked for, one by one, and what came of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from edge_agent.kit.cashier import Cashier
from edge_agent.kit.check import Check
from edge_agent.kit.finding import MismatchError, NotCheckedError
from edge_agent.kit.full import FULL
from edge_agent.kit.level import LEVELS, Level
from edge_agent.kit.middle import MIDDLE
from edge_agent.kit.minimum import MINIMUM
from edge_agent.kit.reply import printable
from shared.errors import InputError, UnavailableError

CHECKS: Final[tuple[Check, ...]] = (*MINIMUM, *MIDDLE, *FULL)
SHAPE: Final = "The reply has every key of the contract."


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not_checked"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a check; ``expected`` and ``reason`` are messages of the catalogue.

    ``came`` is in the words of the wire; ``calls`` are the calls that were made, without secrets.
    """

    check: Check
    outcome: Outcome
    expected: str
    came: str
    reason: str
    calls: tuple[dict[str, Any], ...]


def checks_of(level: Level, names: Collection[str]) -> list[Check]:
    """The checks up to a level; ``names`` are those to be left out, which must exist.

    Raises:
        InputError: a name is no check's.
    """
    unknown = sorted(set(names) - {check.name for check in CHECKS})
    if unknown:
        raise InputError(
            f"there is no check {unknown[0]}",
            code="bad_argument",
            hint="The checks: " + ", ".join(check.name for check in CHECKS),
        )
    return [check for check in CHECKS if LEVELS.index(check.level) <= LEVELS.index(level)]


async def results_of(
    cashier: Cashier, checks: Collection[Check], left_out: Collection[str] = ()
) -> AsyncIterator[Result]:
    """Each check's result as soon as it is known; one that fails does not stop the others."""
    for check in checks:
        cashier.till.calls.clear()
        if check.name in left_out:
            yield _result(cashier, check, Outcome.LEFT_OUT)
        else:
            yield await _result_of(cashier, check)


def is_certified(results: Collection[Result], level: Level) -> bool:
    """Whether every check up to this level passed, but those left out by wish: never all of it."""
    asked = [each for each in results if LEVELS.index(each.check.level) <= LEVELS.index(level)]
    passed = {each.check.level for each in asked if each.outcome is Outcome.PASSED}
    return level in passed and all(
        each.outcome in {Outcome.PASSED, Outcome.LEFT_OUT} for each in asked
    )


async def _result_of(cashier: Cashier, check: Check) -> Result:
    try:
        came = await check.play(cashier)
    except MismatchError as found:
        return _result(cashier, check, Outcome.FAILED, came=found.message, expected=found.expected)
    except NotCheckedError as found:
        return _result(cashier, check, Outcome.NOT_CHECKED, reason=found.message)
    except UnavailableError as error:
        return _result(cashier, check, Outcome.FAILED, came=error.message)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A stranger's reply may have any shape; what trips over it is a finding about the reply.
        return _result(cashier, check, Outcome.FAILED, came=repr(error), expected=SHAPE)
    return _result(cashier, check, Outcome.PASSED, came=came)


def _result(
    cashier: Cashier,
    check: Check,
    outcome: Outcome,
    *,
    came: str = "",
    expected: str = "",
    reason: str = "",
) -> Result:
    return Result(
        check=check,
        outcome=outcome,
        expected=expected or check.expected,
        came=printable(came),
        reason=reason,
        calls=tuple(cashier.till.calls),
    )
