"""Walking over a document that has no faults: each thing read, with the place where it stands.

Without faults nothing was left out in reading, so that what was read and what stands in the
document have one shape.
"""

from __future__ import annotations

from collections.abc import Iterator

from rules_compiler.document import Document
from rules_compiler.promotions import Written
from shared.engine.program import (
    AllOf,
    AnyOf,
    Condition,
    CounterIs,
    Filter,
    GoodsSet,
    Not,
    Result,
)
from shared.wire.reading import Place

Node = tuple[Condition, Place]


def enabled(document: Document) -> Iterator[Written]:
    """The promotions that are compiled."""
    return (each for each in document.promotions if each.enabled)


def below(place: Place, *steps: str | int) -> Place:
    """The place these steps below, as deep as there is something."""
    for step in steps:
        value = place.value
        if isinstance(value, list) and isinstance(step, int) and step < len(value):
            place = place.child(step, value[step])
        elif isinstance(value, dict) and value.get(str(step)) is not None:
            place = place.child(step, value[str(step)])
        else:
            break
    return place


def results(written: Written) -> Iterator[tuple[Result, Place]]:
    """The results of a promotion."""
    for index, result in enumerate(written.promotion.results):
        yield result, below(written.place, "then", index)


def root(written: Written) -> Node | None:
    """The condition of a promotion."""
    when = written.promotion.when
    return None if when is None else (when, below(written.place, "when"))


def conditions(node: Node | None) -> Iterator[Node]:
    """The condition and everything in it."""
    if node is None:
        return
    yield node
    for each in parts(node):
        yield from conditions(each)


def parts(node: Node) -> list[Node]:
    """The conditions that this one is made of."""
    condition, place = node
    match condition:
        case AllOf(parts=found):
            return [(each, below(place, "all", index)) for index, each in enumerate(found)]
        case AnyOf(parts=found):
            return [(each, below(place, "any", index)) for index, each in enumerate(found)]
        case Not(part=part):
            return [(part, below(place, "not"))]
        case _:
            return []


def conjuncts(node: Node | None) -> Iterator[Node]:
    """The conditions all of which must hold; what stands in ``any`` or ``not`` is one of them."""
    if node is None:
        return
    if isinstance(node[0], AllOf):
        for each in parts(node):
            yield from conjuncts(each)
    else:
        yield node


def leaf_place(node: Node, *steps: str | int) -> Place:
    """A place inside a leaf: below the key that names it."""
    condition, place = node
    return below(place, str(condition.__struct_config__.tag), *steps)


def filter_of_condition(node: Node) -> tuple[Filter, Place] | None:
    """The filter of a leaf that has one."""
    condition = node[0]
    if isinstance(condition, CounterIs):
        wanted = condition.with_current
        return None if wanted is None else (wanted, leaf_place(node, "with_current"))
    wanted = getattr(condition, "filter", None)
    return None if wanted is None else (wanted, leaf_place(node, "filter"))


def filters_of_result(result: Result, place: Place) -> Iterator[tuple[Filter, Place]]:
    """The filters by which a result takes lines; what its ``per`` counts is not among them."""
    if isinstance(result, GoodsSet):
        for index, slot in enumerate(result.slots):
            yield slot.filter, below(place, "slots", index, "filter")
        return
    wanted = getattr(result, "filter", None)
    if isinstance(wanted, Filter):
        yield wanted, below(place, "filter")
