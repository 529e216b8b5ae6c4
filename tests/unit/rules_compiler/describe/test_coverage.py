"""Nothing of the language is passed over in silence."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rules_compiler.describe import describe_programme, describe_promotion
from shared.wire.reading import parse_json

FOLDER = Path(__file__).parents[3] / "cases" / "describe"
CONDITIONS = {
    "store": "group",
    "channel": "",
    "register": "",
    "online": "",
    "customer": "identified id segment level card_category gender organisation not_segment "
    "attributes age registered_days last_purchase_days purchase_number every spent window from to "
    "with_current control",
    "birthday": "before after of",
    "total": "filter from to base",
    "quantity": "filter from to unit",
    "distinct": "filter from to",
    "any_line": "filter qty",
    "coupon": "",
    "payment": "type bin from to",
    "counter": "id from to with_current every",
    "points": "account from to",
    "chips": "account from",
    "applied": "",
    "not_applied": "",
    "all": "",
    "any": "",
    "not": "",
}
FILTER = "sku list category brand attrs flags price favourite discounted exclude from to"
RESULTS = {
    "discount_goods": "filter percent amount_each amount tiers by steps value by_category skip "
    "max_qty max_qty_by choose cap",
    "set_price": "filter price price_type ending max_qty choose",
    "nth": "filter every take percent price grouping same",
    "set": "slots filter qty choose percent price amount",
    "gift_goods": "filter qty per amount gifts max price choose",
    "chips_price": "chips each percent price ladder filter max_qty choose",
    "counter_nth": "counter every filter price",
    "manual": "max_percent permission filter",
    "external": "service timeout_ms filter",
    "discount_receipt": "filter percent amount price tiers value per each above from cap",
    "spend_points": "account filter max_percent keep_each keep_total step",
    "round_total": "to each_line",
    "accrue_points": "account percent by_level per amount points per_qty qty fixed multiply filter "
    "base cap cap_day active_after_days expires_after_days expires_on",
    "accrue_chips": "chips per amount per_qty qty fixed filter cap",
    "count": "counter by filter reset",
    "issue_coupon": "series count per amount qty filter max valid_days text",
    "message": "to at text qr image confirm",
    "gift_info": "what qty per filter gifts max",
    "service": "code text donate_to",
}
PROMOTION = (
    "id name group priority enabled active from to weekdays hours when then hint stack closes "
    "only_one_of forbid_spend forbid_accrual ignore_floor ignore_soft on_claim cost account points "
    "limits per_receipt per_customer times qty discount per total on_excess"
)
PROGRAMME = (
    "programme version currency timezone max_discount spend_as hints pieces percent groups id "
    "resolve accounts rate precision chips store_groups product_lists promotions"
)
REQUIRED = {("tiers", "by"), ("limits", "per_customer", "per")}
"""Keys that no accepted document is without: what is read for one is any of their values."""
BASE = {"programme": "p", "version": 1, "currency": "RUB", "promotions": []}
COMPETING = {**BASE, "groups": [{"id": "main"}, {"id": "best", "resolve": "best"}]}


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def keys(value: Any) -> Iterator[str]:
    """All keys of a document, however deep."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from keys(each)


def paths_of_keys(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all keys, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from paths_of_keys(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths_of_keys(inner, (*path, index))


def less(document: Any, path: tuple[str | int, ...]) -> Any:
    found = copy.deepcopy(document)
    place = found
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return found


def told(promotion: dict[str, Any], programme: dict[str, Any] = BASE) -> tuple[str, ...]:
    read = parse_json(json.dumps({"programme": programme, "promotion": promotion}).encode())
    return tuple(
        describe_promotion(read["programme"], read["promotion"], lang) for lang in ("en", "ru")
    )


def silent_keys(
    document: Any, tell: Callable[[Any], tuple[str, ...]]
) -> list[tuple[str | int, ...]]:
    """The keys without which the text of a document is the same in some language."""
    texts = tell(document)
    return [
        path
        for path in paths_of_keys(document)
        if path not in REQUIRED
        and any(one == other for one, other in zip(texts, tell(less(document, path)), strict=True))
    ]


@pytest.mark.parametrize("leaf", CONDITIONS)
def test_cases_have_every_key_of_a_condition(leaf: str) -> None:
    """The language is listed here once more, so that a new key is missed here."""
    values = [case["when"][leaf] for case in load("conditions") if leaf in case["when"]]

    assert values
    assert set(CONDITIONS[leaf].split()) <= set(keys(values))


@pytest.mark.parametrize("kind", RESULTS)
def test_cases_have_every_key_of_a_result(kind: str) -> None:
    """The same for results."""
    values = [case["then"] for case in load("results") if case["then"]["do"] == kind]

    assert values
    assert set(RESULTS[kind].split()) <= set(keys(values))


def test_cases_have_every_key_of_filters_promotions_and_programmes() -> None:
    """The same for what holds them."""
    promotions = [case["promotion"] for case in load("promotions")]

    assert set(FILTER.split()) <= set(keys([case["filter"] for case in load("filters")]))
    assert set(PROMOTION.split()) <= set(keys(promotions))
    assert set(PROGRAMME.split()) <= set(keys(load("programme")["programme"]))


@pytest.mark.parametrize("case", load("conditions"), ids=lambda case: case["title"])
def test_every_key_of_a_condition_is_spoken_of(case: dict[str, Any]) -> None:
    """Without any one key the text is another, in both languages."""
    ((leaf, value),) = case["when"].items()
    if leaf in ("all", "any", "not"):
        return

    def tell(inner: Any) -> tuple[str, ...]:
        return told({"id": "p", "when": {leaf: inner}, "then": []})

    assert silent_keys(value, tell) == []


@pytest.mark.parametrize("case", load("filters"), ids=lambda case: case["title"])
def test_every_key_of_a_filter_is_spoken_of(case: dict[str, Any]) -> None:
    """The same for filters."""

    def tell(inner: Any) -> tuple[str, ...]:
        result = {"do": "discount_goods", "percent": "5", "filter": inner}
        return told({"id": "p", "then": [result]})

    assert silent_keys(case["filter"], tell) == []


@pytest.mark.parametrize("case", load("results"), ids=lambda case: case["title"])
def test_every_key_of_a_result_is_spoken_of(case: dict[str, Any]) -> None:
    """The same for results; what a result cannot do without is left out too, and nothing fails."""

    def tell(inner: Any) -> tuple[str, ...]:
        return told({"id": "p", "then": [inner]})

    assert silent_keys(case["then"], tell) == []


@pytest.mark.parametrize("case", load("promotions"), ids=lambda case: case["title"])
def test_every_key_of_a_promotion_is_spoken_of(case: dict[str, Any]) -> None:
    """The same for flags, limits, dates and the rest."""
    promotion = case["promotion"]
    # The id stands in the title only where there is no name.
    mute = {("id",)} if "name" in promotion else set()
    # A list of results without any has no line.
    mute |= {("then",)} if promotion["then"] == [] else set()
    programme = COMPETING if "group" in promotion else BASE

    def tell(inner: Any) -> tuple[str, ...]:
        return told(inner, programme)

    assert set(silent_keys(promotion, tell)) == mute


def test_every_key_of_a_programme_is_spoken_of() -> None:
    """The same for the settings that hold everywhere."""
    programme = load("programme")["programme"]

    def tell(inner: Any) -> tuple[str, ...]:
        read = parse_json(json.dumps(inner).encode())
        return tuple(describe_programme(read, lang) for lang in ("en", "ru"))

    assert silent_keys(programme, tell) == []
