"""``explain``: one receipt as tables, and of every promotion why it did or did not act."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rules_compiler.commands.documents import load
from rules_compiler.commands.machine import OK, Machine
from rules_compiler.commands.receipts import read_receipt
from rules_compiler.commands.screen import Column, Screen, Table, output
from rules_compiler.commands.words import NEAREST_FIRST, Words
from shared.engine.evaluate import evaluate
from shared.engine.program import Program, Promotion
from shared.wire.answer import Answer, HintGiven, TraceEntry
from shared.wire.receipt import Receipt

SUMMARY = "show one receipt priced, and why each promotion did or did not act"
EXAMPLES = """\
  kopilka-rules explain autumn.yaml receipt.json --lang ru
  kopilka-rules explain autumn.bundle receipt.json"""

_FILTER_SHOWN: Final = 80
_ORDER: Final = {reason.value: place for place, reason in enumerate(NEAREST_FIRST)}


def arguments(parser: ArgumentParser) -> None:
    """Fill the command's parser."""
    parser.add_argument("programme", type=Path, help="a document (JSON, YAML) or a bundle")
    parser.add_argument("receipt", type=Path, help="one receipt: JSON")
    parser.add_argument("--lang", choices=("en", "ru"), default="en", help="default: en")


def run(options: Namespace, machine: Machine) -> int:
    """Do it; the exit code."""
    del machine
    program = load(options.programme).program
    receipt = read_receipt(options.receipt)
    answer = evaluate(program, receipt, trace=True, hints=True)
    _Told(program, receipt, answer, Words(options.lang)).show(output())
    return OK


def _cut(text: str) -> str:
    """A filter of hundreds of articles is told by its beginning."""
    return text if len(text) <= _FILTER_SHOWN else text[: _FILTER_SHOWN - 1] + "…"


class _Told:
    """An answer in the words of one language."""

    def __init__(self, program: Program, receipt: Receipt, answer: Answer, words: Words) -> None:
        self._program = program
        self._receipt = receipt
        self._answer = answer
        self._words = words
        self._promotions: dict[str, Promotion] = {
            promotion.id: promotion for group in program.groups for promotion in group.promotions
        }

    def show(self, screen: Screen) -> None:
        """All of it."""
        for line in self._head():
            screen.line(line)
        screen.line()
        screen.table(self._lines())
        screen.table(self._takers())
        screen.table(self._totals())
        screen.table(self._rewards())
        screen.table(self._hints())
        screen.table(self._fates())

    def _name(self, promotion_id: str) -> str:
        promotion = self._promotions.get(promotion_id)
        name = "" if promotion is None else promotion.name
        return f"{name} ({promotion_id})" if name else promotion_id

    def _head(self) -> Iterator[str]:
        text, receipt, program = self._words.text, self._receipt, self._program
        yield text(
            "Receipt %(receipt)s: store %(store)s, %(time)s",
            receipt=receipt.receipt_id or "–",
            store=receipt.store,
            time=receipt.time,
        )
        yield text(
            "Programme %(programme)s, version %(version)s; sums in %(currency)s",
            programme=program.programme,
            version=program.version,
            currency=program.currency,
        )
        customer = receipt.customer
        if customer is None:
            yield text("Customer: nobody known")
        else:
            yield text("Customer: %(customer)s", customer=customer.id or "–")
        if not self._answer.optimal:
            yield text("The best choice was not proved within its time: it is the best found.")

    def _lines(self) -> Table:
        text, words = self._words.text, self._words
        goods = {line.line: line for line in self._receipt.lines}
        return Table(
            title=text("Lines"),
            columns=[
                Column(text("line"), right=True),
                Column(text("article")),
                Column(text("quantity"), right=True),
                Column(text("price"), right=True),
                *self._sums(),
            ],
            rows=[
                [
                    str(line.line),
                    goods[line.line].sku,
                    words.quantity(goods[line.line].quantity_milli),
                    words.money(goods[line.line].price_minor),
                    words.money(line.list_minor),
                    words.money(line.discount_minor),
                    words.money(line.net_minor),
                    words.money(line.points_spent_minor),
                    words.money(line.to_pay_minor),
                ]
                for line in self._answer.lines
            ],
        )

    def _sums(self) -> Sequence[Column]:
        text = self._words.text
        names = ("full price", "discount", "net", "points", "to pay")
        return [Column(text(name), right=True) for name in names]

    def _takers(self) -> Table:
        text, words = self._words.text, self._words
        return Table(
            title=text("What took how much"),
            columns=[
                Column(text("line"), right=True),
                Column(text("promotion")),
                Column(text("discount"), right=True),
                Column(text("of quantity"), right=True),
            ],
            rows=[
                [
                    str(line.line),
                    self._name(each.promotion),
                    words.money(each.discount_minor),
                    words.quantity(each.quantity_milli),
                ]
                for line in self._answer.lines
                for each in line.applied
            ],
        )

    def _totals(self) -> Table:
        total, money = self._answer.total, self._words.money
        sums = (
            total.list_minor,
            total.discount_minor,
            total.net_minor,
            total.points_spent_minor,
            total.to_pay_minor,
        )
        return Table(
            title=self._words.text("In all"), columns=self._sums(), rows=[list(map(money, sums))]
        )

    def _rewards(self) -> Table:
        text = self._words.text
        return Table(
            title=text("Besides"),
            columns=[Column(text("what")), Column(text("how much")), Column(text("by"))],
            rows=[*self._points(), *self._information()],
        )

    def _points(self) -> Iterator[list[str]]:
        text, money, answer = self._words.text, self._words.money, self._answer
        for accrued in answer.accrued:
            dates = text("from %(day)s", day=accrued.active_on_date)
            if accrued.expires_on_date is not None:
                expiry = text("until %(day)s", day=accrued.expires_on_date)
                dates = f"{dates} {expiry}"
            yield [
                text("points earned on %(account)s", account=accrued.account),
                f"{money(accrued.points_centi)}, {dates}",
                self._name(accrued.promotion),
            ]
        for spent in answer.spent:
            if spent.points_centi:
                yield [
                    text("points taken from %(account)s", account=spent.account),
                    money(spent.points_centi),
                    "" if spent.promotion is None else self._name(spent.promotion),
                ]
        for able in answer.spendable:
            yield [
                text("points that could pay, of %(account)s", account=able.account),
                money(able.points_centi),
                "",
            ]
        for chips in answer.chips:
            yield [
                text("chips %(account)s", account=chips.account),
                f"+{chips.earned} −{chips.spent}",
                self._name(chips.promotion),
            ]
        for counter in answer.counters:
            yield [text("counter %(id)s", id=counter.id), text("now %(n)s", n=counter.value), ""]

    def _information(self) -> Iterator[list[str]]:
        text, answer = self._words.text, self._answer
        for coupon in answer.coupons:
            yield [
                text("coupon of %(series)s", series=coupon.series),
                str(coupon.count),
                self._name(coupon.promotion),
            ]
        for gift in answer.gifts:
            what = text(" or ").join(gift.what)
            yield [
                text("gift: %(what)s", what=what),
                str(gift.quantity),
                self._name(gift.promotion),
            ]
        for service in answer.services:
            yield [
                text("service %(code)s", code=service.code),
                service.text
                if service.amount_minor is None
                else f"{service.text} {self._words.money(service.amount_minor)}".strip(),
                self._name(service.promotion),
            ]
        for message in answer.messages:
            yield [
                text("message to %(to)s at %(at)s", to=message.to, at=message.at),
                message.text,
                self._name(message.promotion),
            ]

    def _hints(self) -> Table:
        text = self._words.text
        return Table(
            title=text("What is missing"),
            columns=[
                Column(text("promotion")),
                Column(text("missing")),
                Column(text("would save"), right=True),
                Column(text("text")),
            ],
            rows=[self._hint(hint) for hint in self._answer.hints],
        )

    def _hint(self, hint: HintGiven) -> list[str]:
        missing = []
        if hint.quantity_milli is not None:
            quantity = self._words.quantity(hint.quantity_milli)
            missing.append(self._words.text("%(quantity)s pc", quantity=quantity))
        if hint.amount_minor is not None:
            missing.append(self._words.money(hint.amount_minor))
        if hint.filter_json != "{}":
            missing.append(_cut(hint.filter_json))
        gain = "" if hint.gain_minor is None else self._words.money(hint.gain_minor)
        return [self._name(hint.promotion), " ".join(missing), gain, hint.text]

    def _fates(self) -> Table:
        """Every result of every promotion: those that acted, then those nearest to it."""
        text, trace = self._words.text, self._answer.trace
        entries = sorted(trace, key=lambda entry: _ORDER.get(entry.reason, len(_ORDER)))
        return Table(
            title=text("Why, and why not"),
            columns=[Column(text("promotion")), Column(text("result")), Column(text("fate"))],
            rows=[self._fate(entry) for entry in entries],
        )

    def _fate(self, entry: TraceEntry) -> list[str]:
        promotion = self._promotions[entry.promotion]
        kind = self._words.result(promotion.results[entry.result_index])
        if len(promotion.results) > 1:
            kind = f"{entry.result_index + 1}. {kind}"
        return [self._name(entry.promotion), kind, self._words.fate(entry)]
