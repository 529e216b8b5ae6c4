"""What a simulated day took: for people, and as JSON. Pure."""

from __future__ import annotations

from typing import Any, Final

from edge_agent.kit.day import Day, Plan
from shared.tongues import Tongue

PERCENTS: Final = (50, 95, 99)
PROGRESS: Final = "%(sold)s of %(all)s receipts, %(rate)s a second, %(errors)s errors"
TOTAL: Final = "%(sold)s receipts in %(seconds)s s: %(rate)s receipts and %(calls)s calls a second"
CALL: Final = "call"
COUNT: Final = "count"
LONGEST: Final = "longest"
MILLISECONDS: Final = "Times in milliseconds."
NO_ERRORS: Final = "No errors."
ERRORS: Final = "Errors:"


def progress_line(day: Day, plan: Plan, tongue: Tongue) -> str:
    """Where the day is."""
    return tongue.text(
        PROGRESS,
        sold=day.sold,
        all=plan.tills * plan.receipts,
        rate=_per_second(day.sold, day.took_ns),
        errors=day.errors.total(),
    )


def day_lines(day: Day, tongue: Tongue) -> list[str]:
    """Throughput, times of each call, and errors by their names."""
    calls = sum(each.count for each in day.calls.values())
    told = [
        tongue.text(
            TOTAL,
            sold=day.sold,
            seconds=_tenths(day.took_ns // 100_000_000),
            rate=_per_second(day.sold, day.took_ns),
            calls=_per_second(calls, day.took_ns),
        ),
        tongue.text(MILLISECONDS),
        _row(
            tongue.text(CALL),
            tongue.text(COUNT),
            *(f"p{percent}" for percent in PERCENTS),
            tongue.text(LONGEST),
        ),
    ]
    for name, figures in day.calls.items():
        times = [*(figures.percentile_us(percent) for percent in PERCENTS), figures.longest_us]
        told.append(_row(name, str(figures.count), *(_tenths(each // 100) for each in times)))
    if not day.errors:
        return [*told, tongue.text(NO_ERRORS)]
    errors = [f"    {count} × {name}" for name, count in day.errors.most_common()]
    return [*told, tongue.text(ERRORS), *errors]


def day_report(day: Day, plan: Plan) -> dict[str, Any]:
    """The same for a program; times in microseconds."""
    return {
        "report": 1,
        "run": plan.run,
        "tills": plan.tills,
        "begun": day.begun,
        "sold": day.sold,
        "took_ms": day.took_ns // 1_000_000,
        "calls": {
            name: {
                "count": figures.count,
                **{f"p{percent}_us": figures.percentile_us(percent) for percent in PERCENTS},
                "longest_us": figures.longest_us,
            }
            for name, figures in day.calls.items()
        },
        "errors": dict(day.errors.most_common()),
    }


def _row(name: str, *cells: str) -> str:
    return f"{name:<10}" + "".join(f"{cell:>12}" for cell in cells)


def _per_second(count: int, took_ns: int) -> str:
    return _tenths(count * 10_000_000_000 // max(took_ns, 1))


def _tenths(value: int) -> str:
    return f"{value // 10}.{value % 10}"
