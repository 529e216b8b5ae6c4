"""The commands one by one: what each does, what each refuses, and in which words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_agent.config import ReturnSettings
from edge_agent.serial.basket import LINES_MAX
from edge_agent.serial_settings import CodeSettings
from tests.integration.edge_agent.test_till_api import Till, a_till, ask
from tests.support.member_codes import put_code_keys, shown_code
from tests.support.pty_till import PtyTill
from tests.support.serial_shop import greeted, ptys_of, sold, till_settings
from tests.support.shop import PROGRAMME, TIME, a_bundle, make_shop

BANK_STRIPE = ";4276380012345674=26121010000000000?"


@pytest.fixture(scope="module")
def bundle() -> bytes:
    message = {
        "id": "thanks",
        "then": [{"do": "message", "to": "customer", "at": "end", "text": "5 ₽ | «спасибо»"}],
    }
    return a_bundle(1, promotions=[*PROGRAMME["promotions"], message])


@pytest.fixture
async def shop(tmp_path: Path, bundle: bytes) -> AsyncIterator[tuple[Till, PtyTill]]:
    with ptys_of(tmp_path, "R1") as [port]:
        settings = till_settings(tmp_path, "R1", charset="cp1251")
        make_shop(
            tmp_path / "shop",
            bundle=bundle,
            returns=ReturnSettings(limit="500.00"),
            serial=type(settings)(
                language="ru",
                till=settings.till,
                codes=CodeSettings(card_prefixes=("1", "2"), weight_masks=("22CCCCCWWWWWK",)),
            ),
        )
        async with a_till(tmp_path / "shop") as http:
            till = PtyTill(port, "cp1251")
            await greeted(http, till)
            yield http, till


@pytest.fixture
async def till(shop: tuple[Till, PtyTill]) -> PtyTill:
    return shop[1]


async def opened(till: PtyTill, receipt_id: str = "r1") -> None:
    await till.done("OPEN", receipt_id, TIME)
    await till.done("ITEM", "1", "tea", "2", "100.00")


REFUSED: dict[tuple[str, ...], str] = {
    ("NONSENSE",): "unknown_command",
    ("", "x"): "unknown_command",
    ("stat",): "unknown_command",
    ("REG", "79001234567"): "wrong_fields",
    ("REG", "1", "12", "", "rules"): "bad_phone",
    ("REG", "1", "+79001234567", "", "sms"): "consent_needed",
    ("REG", "", "+79001234567", "", "rules"): "bad_customer",
    ("IDENT", "KQ1:AAAAAAAAAAAAAAAA:c1"): "members_offline",
    ("IDENT", "]Q1KQ1:AAAAAAAAAAAAAAAA:c1"): "members_offline",
    ("IDENT", "+79001234567"): "phones_offline",
    ("STAT", "1"): "wrong_fields",
    ("ITEM", "2", "tea", "1"): "wrong_fields",
    ("ITEM", "2", "tea", "1", "1.00", "colour"): "wrong_fields",
    ("ITEM", "2", "tea", "1", "1.00", "colour=red"): "unknown_field",
    ("ITEM", "x", "tea", "1", "1.00"): "number",
    ("ITEM", "2", "tea", "0", "1.00"): "receipt",
    ("ITEM", "2", "tea", "1,5", "1.00"): "receipt",
    ("ITEM", "2", "", "1", "1.00"): "receipt",
    ("ITEM", "2", "tea", "1", "-1.00"): "receipt",
    ("VOID", "2"): "no_line",
    ("COUPON", "x", "+"): "wrong_fields",
    ("COUPON", "x", "-"): "no_coupon",
    ("SPEND", "main", "much"): "receipt",
    ("PAY", "card:x"): "receipt",
    ("SUBT", "other"): "other_receipt",
    ("SUBT", "r1", "2"): "basket_differs",
    ("SUBT", "r1", "", "199.00"): "basket_differs",
    ("COMMIT", "r1", "1,00"): "number",
    ("COMMIT", "r9", "1.00"): "other_receipt",
    ("LOOK", "r9"): "not_found",
    ("OPEN", ""): "receipt_id",
    ("OPEN", "r2", "today"): "bad_time",
    ("IDENT", BANK_STRIPE): "bank_card",
    ("IDENT", "4000000000000002"): "bank_card",
    ("IDENT", "hello"): "not_a_card",
    ("CODE", BANK_STRIPE): "bank_card",
    ("CODE", "2200123007545"): "bad_barcode",
    ("SHOW", "hello"): "no_display",
    ("RCALC", "r9", "1=1"): "sale_not_here",
    ("RCALC", "r9", "1"): "wrong_fields",
    ("RETURN", "b1", "r9", "", "", "1=1"): "bad_time",
    ("RCALC", "r9", "1=1", "store="): "wrong_fields",
    ("RCALC", "r9", "1=1", "store=S2"): "sales_offline",
    ("NCALC", "7", "", "tea:1:100.00"): "no_right",
    ("NCALC", "7", "return_without_receipt", "tea:9:100.00"): "over_limit",
    ("NCALC", "7", "return_without_receipt", "tea:1"): "wrong_fields",
    ("NRETURN", "b1", "", "", "7", "", "tea:1:100.00"): "bad_time",
    ("GBAL", "4000"): "gift_cards_offline",
    ("GPAY", "", "r1", "4000"): "bad_gift_card",
}


async def test_refusals(till: PtyTill) -> None:
    """Each has its stable code; the receipt stays as it was."""
    await opened(till)
    before = await till.ask("CALC", "r1", "1", "200.00")
    assert {fields: await till.refused(*fields) for fields in REFUSED} == REFUSED
    assert await till.ask("CALC", "r1", "1", "200.00") == before


async def test_refusal_has_words_place_and_findings(till: PtyTill) -> None:
    """In the language and the character set of the till."""
    await opened(till)
    assert await till.ask("ITEM", "2", "tea", "0", "1.00") == [
        ["ER", "receipt", "Ошибка в чеке", "/lines/0/qty", ""],
        ["F", "range", "/lines/0/qty"],
    ]
    offline = (await till.ask("GBAL", "4000"))[0]
    assert offline == ["ER", "gift_cards_offline", "Нет связи с центром", "", "15"]


async def test_text_that_is_none_in_the_charset_is_refused(till: PtyTill) -> None:
    """A byte without a meaning names no goods."""
    till.client.charset = "latin-1"
    assert await till.refused("CODE", "\x98") == "bad_charset"


async def test_only_hello_begins_a_conversation(till: PtyTill) -> None:
    """Number 000 is never answered from memory, so nothing else may have it."""
    await opened(till)
    reply = await till.ask("COMMIT", "r1", "180.00", number=0)
    assert reply[0][:2] == ["ER", "bad_sequence"]


async def test_hello_forgets_the_open_receipt(till: PtyTill) -> None:
    """A till that started again begins with nothing."""
    await opened(till)
    await till.ask("HELLO", number=0)
    assert await till.refused("VOID", "1") == "no_receipt"


async def test_receipt_that_holds_points_is_not_forgotten_by_the_next(till: PtyTill) -> None:
    """First it is sold or cancelled; the points are free again after that."""
    await opened(till)
    await till.done("IDENT", "]C0100")
    await till.done("SPEND", "main", "max")
    assert (await till.done("SUBT", "r1"))[5] == "30.00"
    assert await till.refused("OPEN", "r2", TIME) == "receipt_open"
    assert await till.done("CANCEL", "r1") == ["r1"]
    assert await till.done("LOOK", "r1") == ["cancelled", "r1"]
    assert await till.refused("COMMIT", "r1", "1.00") == "receipt_cancelled"
    await opened(till, "r2")
    assert (await till.ask("IDENT", "100"))[1] == ["B", "main", "50.00", "30.00"]


async def test_change_after_the_subtotal_is_priced_anew(shop: tuple[Till, PtyTill]) -> None:
    """The sale is the receipt as it is at the end, with what the till took."""
    http, till = shop
    await opened(till)
    await till.done("SUBT", "r1", "1", "200.00")
    await till.done("ITEM", "2", "gum", "1", "10.00")
    assert (await till.done("COMMIT", "r1", "190.00"))[1] == "190.00"
    async with http.get("/v1/receipts/r1") as response:
        found = await response.json()
    assert found["incidents"] == []
    assert len(found["answer"]["lines"]) == 2


async def test_sale_at_another_sum_stands_with_an_incident(till: PtyTill) -> None:
    """A sale is a fact; a repeat of the same word finds it."""
    await opened(till)
    reply = await till.ask("COMMIT", "r1", "179.00")
    assert ["I", "to_pay_differs", "till 179.00, here 180.00"] in reply
    assert await till.ask("COMMIT", "r1", "179.00") == reply


async def test_answers_records(till: PtyTill) -> None:
    """Lines, parts, earned points, messages in the till's letters, notices."""
    await till.done("OPEN", "r1", TIME)
    await till.done("ITEM", "1", "tea", "3", "33.33")
    await till.done("IDENT", "100")
    await till.done("COUPON", "NONE")
    await till.done("PAY", "cash:10.00", "card::427638")
    reply = await till.ask("CALC", "r1")
    marks = [line[0] for line in reply]
    assert marks[0] == "OK"
    line = next(line for line in reply if line[0] == "L")
    parts = [part for part in reply if part[0] == "P"]
    assert line[1:] == ["1", "89.99", "89.99", "99.99", "0.00"]
    assert sum(float(part[2]) for part in parts) == 3
    assert next(each for each in reply if each[0] == "E")[1] == "main"
    assert ["M", "customer", "end", "0", "5 р. / «спасибо»"] in reply
    assert ["N", "unknown_coupon", "/coupons/0"] in reply


async def test_hints(tmp_path: Path) -> None:
    """What a promotion still lacks, as over HTTP; the receipt stays as it was."""
    fourth = {"id": "fourth", "then": [{"do": "nth", "every": 4, "filter": {"sku": ["tea"]}}]}
    with ptys_of(tmp_path, "R1") as [port]:
        serial = till_settings(tmp_path, "R1")
        make_shop(tmp_path / "shop", bundle=a_bundle(1, promotions=[fourth]), serial=serial)
        async with a_till(tmp_path / "shop") as http:
            till = PtyTill(port)
            await greeted(http, till)
            await till.done("OPEN", "r1", TIME)
            await till.done("ITEM", "1", "tea", "3", "100.00")
            plain = await till.ask("CALC", "r1")
            first, hint = await till.ask("HINT", "r1", "1", "300.00")
            assert first == ["OK", "HINT", "r1"]
            assert hint[:4] == ["H", "fourth", "1", ""]
            assert await till.ask("CALC", "r1") == plain


async def test_new_member_is_known_on_the_line_at_once(till: PtyTill) -> None:
    """Without head office, too; a repeat gets the first answer, and the card buys."""
    form = ("REG", "R1-1", "+79001234567", "177", "rules,sms")
    made = await till.done(*form)
    assert (made[0], made[2]) == ("provisional", "1")
    assert await till.done(*form) == made
    assert await till.done("IDENT", "177") == ["known", made[1], "", ""]
    assert await till.done("IDENT", "#" + made[1]) == ["known", made[1], "", ""]
    assert await till.done("IDENT", "#nobody") == ["unknown"]


async def test_code_of_the_app_identifies(tmp_path: Path, bundle: bytes) -> None:
    """As the scanner read it; the receipt is that customer's."""
    with ptys_of(tmp_path, "R1") as [port]:
        make_shop(tmp_path / "shop", bundle=bundle, serial=till_settings(tmp_path, "R1"))
        put_code_keys(tmp_path / "shop")
        async with a_till(tmp_path / "shop") as http:
            till = PtyTill(port)
            await greeted(http, till)
            await opened(till)
            assert await till.done("IDENT", shown_code("c1")) == ["known", "c1", "", ""]
            assert (await till.ask("CALC", "r1"))[0][:3] == ["OK", "CALC", "r1"]


async def test_members_known_unknown_blocked_and_nobody(till: PtyTill) -> None:
    """A card that nobody knows stops no sale; without an open receipt one may ask, too."""
    assert await till.done("IDENT", ";100?") == ["known", "c1", "", ""]
    await opened(till)
    assert await till.done("IDENT", "200") == ["blocked", "c2", "", ""]
    assert await till.done("IDENT", "199") == ["unknown"]
    assert (await till.ask("CALC", "r1"))[-1][:2] == ["N", "unknown_card"]
    assert await till.done("IDENT", "") == ["none"]
    assert [line[0] for line in await till.ask("CALC", "r1")].count("N") == 0


async def test_coupons_and_wishes_are_taken_back(till: PtyTill) -> None:
    """Nothing of them is left in the price."""
    await opened(till)
    plain = await till.ask("CALC", "r1")
    await till.done("IDENT", "100")
    await till.done("COUPON", "good")
    await till.done("COUPON", "good")
    await till.done("SPEND", "main")
    assert await till.ask("CALC", "r1") != plain
    await till.done("COUPON", "good", "-")
    await till.done("SPEND", "")
    await till.done("IDENT", "")
    assert await till.ask("CALC", "r1") == plain


async def test_goods_come_back(shop: tuple[Till, PtyTill]) -> None:
    """Asked first, then recorded, and a repeat gets the first answer; HTTP finds it."""
    http, till = shop
    await sold(till, "r1")
    due = await till.ask("RCALC", "r1", "1=1")
    assert due[0] == ["OK", "RCALC", "r1", "90.00", "0.00"]
    assert due[1] == ["L", "1", "1", "90.00"]
    given = await till.ask("RETURN", "b1", "r1", "2026-11-23T13:00:00", "90.00", "1=1")
    assert given[0] == ["OK", "RETURN", "b1", "r1", "90.00", "0.00"]
    assert await till.ask("RETURN", "b1", "r1", "2026-11-23T13:00:00", "90.00", "1=1") == given
    assert await till.refused("RETURN", "b1", "r1", TIME, "180.00", "1=2") == "return_changed"
    assert await till.refused("RCALC", "r1", "1=2") == "too_much"
    async with http.get("/v1/returns/b1") as response:
        assert (await response.json())["refund"]["money"] == "90.00"


async def test_goods_come_back_without_a_receipt(shop: tuple[Till, PtyTill]) -> None:
    """Names of goods may have colons; what the cashier may not do is recorded and told."""
    http, till = shop
    due = await till.ask("NCALC", "7", "a,return_without_receipt", "tea:2:100.00", "a:b:1:9.99")
    assert due == [
        ["OK", "NCALC", "189.99"],
        ["L", "1", "2", "180.00", "card"],
        ["L", "2", "1", "9.99", "card"],
    ]
    asked = ("NRETURN", "b7", "2026-11-23T13:00:00", "180.00", "8", "sell", "tea:2:100.00")
    given = await till.ask(*asked)
    assert given[:2] == [["OK", "NRETURN", "b7", "180.00"], ["L", "1", "2", "180.00", "card"]]
    assert [line[:2] for line in given[2:]] == [["I", "no_right"]]
    assert await till.ask(*asked) == given
    async with http.get("/v1/returns/b7") as response:
        found = await response.json()
    assert (found["goods"][0]["sku"], found["refund"]["money"]) == ("tea", "180.00")


async def test_status_and_codes(shop: tuple[Till, PtyTill]) -> None:
    """What a till can ask at any time."""
    http, till = shop
    health, version, online, queue, agent = await till.done("STAT")
    async with http.get("/v1/status") as response:
        report = await response.json()
    assert [health, version, online] == [report["health"], "1", "0"]
    assert queue == str(report["queue_depth"])
    assert agent == report["agent_version"]
    assert await till.done("CODE", "2200123007544") == ["weighed", "123", "0.754", "", "", "", ""]
    marking = "]d20104600001000014215abcdef\x1d91EE06"
    assert await till.done("CODE", marking) == ["goods", "4600001000014", "", "", "5abcdef", "", ""]
    assert await till.done("SCAN") == ["none"]


async def test_price_coupon_and_day(shop: tuple[Till, PtyTill]) -> None:
    """The same as HTTP tills are told; none of it touches the open receipt."""
    http, till = shop
    await sold(till, "r1")
    await till.ask("RETURN", "b1", "r1", TIME, "90.00", "1=1")
    await opened(till, "r2")
    assert (await till.done("PRICE", "tea", "100.00"))[:2] == ["tea", "90.00"]
    async with http.get("/v1/preview", params={"sku": "tea", "price": "100.00"}) as response:
        preview = await response.json()
    told = ["tea", preview["to_pay"], preview["to_pay_with_card"], preview["list"]]
    assert await till.done("PRICE", "tea", "100.00", "1") == told
    assert await till.done("CHECK", "nothing") == ["unknown"]
    assert await till.refused("PRICE", "tea", "x") == "receipt"
    day = await till.done("TOTAL", "2026-11-23")
    asked = {"date": "2026-11-23", "register": "R1"}
    async with http.get("/v1/totals", params=asked) as response:
        totals = await response.json()
    keys = ("sales", "to_pay", "discount", "points_spent", "points_earned", "returns", "returned")
    assert day == ["2026-11-23", *(str(totals[key]) for key in keys), str(totals["incidents"])]
    assert day[1:3] == ["1", "180.00"]
    assert (await till.done("TOTAL"))[1] == "0"
    assert await till.refused("TOTAL", "today") == "bad_time"
    assert await till.done("ITEM", "1", "tea", "2", "100.00") == ["1", "200.00"]


async def test_time_of_the_agent_where_the_till_has_none(shop: tuple[Till, PtyTill]) -> None:
    """An old till without a clock sells; the time carries an offset."""
    http, till = shop
    await till.done("OPEN", "r1")
    await till.done("ITEM", "1", "tea", "1", "100.00")
    await till.done("OPEN", "r2", "2026-11-23T12:00:00")
    await till.done("ITEM", "1", "tea", "1", "100.00")
    assert (await till.done("COMMIT", "r2", "90.00"))[1] == "90.00"
    async with http.get("/v1/receipts/r2") as response:
        assert (await response.json())["state"] == "committed"


async def test_long_receipt_is_answered_in_parts(till: PtyTill) -> None:
    """More lines than a frame holds; the one too many is refused."""
    await till.done("OPEN", "r1", TIME)
    for number in range(1, 61):
        await till.done("ITEM", str(number), f"sku-{number}", "1", "10.00")
    reply = await till.ask("SUBT", "r1", "60", "600.00")
    assert [line[1] for line in reply if line[0] == "L"] == [str(n) for n in range(1, 61)]
    assert LINES_MAX >= 60


async def test_same_price_as_over_http_with_item_details(shop: tuple[Till, PtyTill]) -> None:
    """What an item says of itself counts as in the JSON."""
    http, till = shop
    await till.done("OPEN", "r1", TIME)
    more = ("category=food/tea", "min_price=95.00", "weighed=1", "flags=bag,gift", "brand=b")
    await till.done("ITEM", "1", "x", "1.5", "100.00", *more)
    reply = await till.ask("CALC", "r1")
    line = {
        "line": 1,
        "sku": "x",
        "qty": "1.5",
        "price": "100.00",
        "category": "food/tea",
        "min_price": "95.00",
        "weighed": True,
        "flags": ["bag", "gift"],
        "brand": "b",
    }
    receipt = {"receipt_id": "r1", "register": "R1", "time": TIME, "lines": [line]}
    expected = await ask(http, "/v1/receipts/calculate", receipt)
    assert reply[0][3] == expected["total"]["to_pay"]


async def test_nothing_private_is_logged(
    till: PtyTill, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither numbers of cards nor stripes stand in any log."""
    await opened(till)
    for fields in (("IDENT", BANK_STRIPE), ("IDENT", "1999888777666"), ("GBAL", "4000777", "7391")):
        await till.ask(*fields)
    said = "".join(capfd.readouterr()) + caplog.text
    for secret in ("4276380012345674", "1999888777666", "4000777", "7391"):
        assert secret not in said
