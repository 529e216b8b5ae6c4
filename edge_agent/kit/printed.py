"""A certificate on the screen, in the reader's language, and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from edge_agent.kit.level import LEVELS, Level
from edge_agent.kit.suite import Outcome, Result, is_certified
from shared.tongues import Tongue

WORDS: Final = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "FAILED",
    Outcome.NOT_CHECKED: "not checked",
    Outcome.LEFT_OUT: "left out",
}
LEVEL_WORDS: Final = {
    Level.MINIMUM: "Minimum",
    Level.MIDDLE: "Middle",
    Level.FULL: "Full",
}
CERTIFIED: Final = "certified"
NOT_CERTIFIED: Final = "not certified"
DONE: Final = "Done"
EXPECTED: Final = "Expected"
CAME: Final = "Came"
HINT: Final = "Hint"
REASON: Final = "Reason"
COUNTS: Final = "%(passed)s of %(all)s passed"
REPORT_VERSION: Final = 1


def result_lines(result: Result, tongue: Tongue) -> list[str]:
    """A result for people; the hint only where something is to be done."""
    check = result.check
    told = [f"[{tongue.text(WORDS[result.outcome])}] {check.level.value}/{check.name}"]
    rows = [(DONE, tongue.text(check.done)), (EXPECTED, tongue.text(result.expected))]
    if result.outcome is Outcome.NOT_CHECKED:
        rows = [(REASON, tongue.text(result.reason))]
    if result.outcome is Outcome.LEFT_OUT:
        rows = []
    if result.came:
        rows.append((CAME, result.came))
    if result.outcome is Outcome.FAILED:
        rows.append((HINT, tongue.text(check.hint)))
    return told + [f"    {tongue.text(name)}: {text}" for name, text in rows]


def summary_lines(results: Sequence[Result], tongue: Tongue) -> list[str]:
    """One line for each level that was asked for."""
    told = []
    for level in LEVELS:
        mine = [each for each in results if each.check.level is level]
        if mine:
            passed = sum(each.outcome is Outcome.PASSED for each in mine)
            verdict = CERTIFIED if is_certified(results, level) else NOT_CERTIFIED
            counts = tongue.text(COUNTS, passed=passed, all=len(mine))
            told.append(f"{tongue.text(LEVEL_WORDS[level])}: {tongue.text(verdict)} ({counts})")
    return told


def report_of(results: Sequence[Result], *, url: str, run: str, time: str) -> dict[str, Any]:
    """Everything for a program, in English; names and codes are stable."""
    return {
        "report": REPORT_VERSION,
        "url": url,
        "run": run,
        "time": time,
        "levels": {
            level.value: is_certified(results, level)
            for level in LEVELS
            if any(each.check.level is level for each in results)
        },
        "checks": [
            {
                "name": each.check.name,
                "level": each.check.level.value,
                "outcome": each.outcome.value,
                "done": each.check.done,
                "expected": each.expected,
                "came": each.came,
                "reason": each.reason,
                "hint": each.check.hint,
                "calls": list(each.calls),
            }
            for each in results
        ],
    }
