"""What the till API consists of: every address with its bodies and what may be refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from edge_agent.http import answers, gift_models, member_models, models
from edge_agent.tills.policy import Right

_LINES: Final = [{"line": 1, "sku": "tea", "qty": "3", "price": "100.00"}]
_RECEIPT: Final[dict[str, Any]] = {
    "time": "2026-11-23T12:00:00+03:00",
    "customer": {"card": "100"},
    "lines": _LINES,
}
_SENIOR: Final[dict[str, Any]] = {"id": "7", "rights": ["return_without_receipt"]}
_SALE: Final[dict[str, Any]] = {"receipt": _RECEIPT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Something in the address; ``place``: ``path`` or ``query``."""

    name: str
    place: str
    says: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call. ``example`` is a body that a new shop's agent answers with 200, in this order.

    ``refusals``: status to the codes that belong to this call; those of every call are not named.
    """

    method: str
    path: str
    name: str
    says: str
    answers: tuple[type, ...]
    body: type | None = None
    example: Any = None
    parameters: tuple[Parameter, ...] = ()
    refusals: tuple[tuple[int, str], ...] = ()
    open: bool = False
    """Needs no token."""
    asks_central: bool = False
    """Without the line to head office it is refused with 503."""
    right: Right | None = None
    """What the caller's token must be good for; None: whoever has a token."""


_RECEIPT_ID: Final = Parameter(
    name="id", place="path", says="the till's id of the receipt, new for each sale", example="r1"
)
_RETURN_ID: Final = Parameter(
    name="id", place="path", says="the till's id of the return, new for each", example="b1"
)

_CARD: Final = (
    (400, "bad_gift_card"),
    (404, "unknown_gift_card"),
    (409, "gift_card_currency"),
    (409, "gift_card_expired"),
    (429, "gift_cards_wait"),
    (503, "gift_cards_offline"),
)
_PIN: Final = ((400, "pin_required"), (403, "wrong_pin"), (429, "pin_wait"))
_OPERATION: Final = ((409, "operation_changed"), (409, "operation_reversed"))

_OTHER_SHOP: Final = ((404, "sale_not_here"), (409, "sale_ambiguous"), (429, "busy"))

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/health",
        name="health",
        says="The agent lives; whether all is well is for status to say.",
        answers=(answers.Alive,),
        open=True,
    ),
    Operation(
        method="GET",
        path="/v1/status",
        name="status",
        says="How every part of the agent is.",
        answers=(answers.StatusNow,),
    ),
    Operation(
        method="GET",
        path="/v1/customers",
        name="find_customer",
        right=Right.CUSTOMERS,
        says="A member by card or by id: who this is, and what may be spent here.",
        answers=(answers.Member,),
        parameters=(
            Parameter(name="card", place="query", says="the number on the card", example="100"),
            Parameter(name="id", place="query", says="the member's id", example=""),
        ),
        refusals=((400, "bad_query"), (404, "not_found")),
    ),
    Operation(
        method="POST",
        path="/v1/customers/identify",
        name="identify",
        right=Right.CUSTOMERS,
        says="Who shows a card, a phone or a code of the app; several with one phone: choose.",
        body=member_models.CustomerShown,
        answers=(member_models.Identified,),
        example={"card": "100", "register": "R1", "cashier": "7"},
        refusals=(
            (400, "bad_customer"),
            (400, "bad_phone"),
            (409, "code_not_good"),
            (429, "look_ups_wait"),
            (503, "members_offline"),
            (503, "phones_offline"),
        ),
    ),
    Operation(
        method="POST",
        path="/v1/customers/register",
        name="register",
        right=Right.REGISTER,
        says="Make a member, with or without the line to head office. Repeat it freely.",
        body=member_models.NewMember,
        answers=(member_models.MemberMade,),
        example={
            "operation_id": "R1-new-17",
            "phone": "+7 916 123-45-67",
            "consents": {"rules": True, "sms": True},
            "card": "700",
        },
        refusals=(
            (400, "bad_customer"),
            (400, "bad_phone"),
            (400, "consent_needed"),
            (409, "operation_changed"),
            (429, "look_ups_wait"),
            (503, "members_offline"),
        ),
    ),
    Operation(
        method="POST",
        path="/v1/receipts/calculate",
        name="calculate",
        right=Right.SELL,
        says="Price a whole receipt. Nothing is recorded; ask as often as you like.",
        body=models.ReceiptTold,
        answers=(answers.Calculated,),
        example=_RECEIPT,
        parameters=(
            Parameter(name="trace", place="query", says="1: why and why not", example="1"),
            Parameter(name="hints", place="query", says="1: what goods still lack", example="1"),
        ),
        refusals=((400, "receipt"), (400, "other_store"), (503, "no_bundle")),
    ),
    Operation(
        method="POST",
        path="/v1/receipts/{id}/freeze",
        name="freeze",
        right=Right.SELL,
        says="Set aside what the receipt is to take, before the customer pays the rest.",
        body=models.SaleMade,
        answers=(answers.Frozen,),
        example=_SALE,
        parameters=(_RECEIPT_ID,),
        refusals=(
            (409, "points_not_promised"),
            (409, "receipt_cancelled"),
            (409, "already_committed"),
        ),
    ),
    Operation(
        method="POST",
        path="/v1/receipts/{id}/commit",
        name="commit",
        right=Right.SELL,
        says="The sale was made. Durable before the answer; a repeat gives the first answer.",
        body=models.SaleMade,
        answers=(answers.SaleRecorded,),
        example=_SALE,
        parameters=(_RECEIPT_ID,),
        refusals=((400, "bad_commit"), (409, "receipt_changed"), (409, "receipt_cancelled")),
    ),
    Operation(
        method="GET",
        path="/v1/receipts/{id}",
        name="find_receipt",
        right=Right.SELL,
        says="What became of a receipt.",
        answers=(answers.SaleFound, answers.Cancelled),
        parameters=(_RECEIPT_ID,),
        refusals=((404, "not_found"),),
    ),
    Operation(
        method="POST",
        path="/v1/receipts/{id}/cancel",
        name="cancel",
        right=Right.SELL,
        says="The receipt will not be sold; what was set aside for it is free again.",
        answers=(answers.Cancelled,),
        parameters=(
            Parameter(name="id", place="path", says="the till's id of the receipt", example="r2"),
        ),
        refusals=((409, "already_committed"),),
    ),
    Operation(
        method="POST",
        path="/v1/returns/calculate",
        name="calculate_return",
        right=Right.RETURN,
        says="What is due for goods of a sale that come back. Nothing is recorded.",
        body=models.ReturnAsked,
        answers=(answers.RefundTold,),
        example={"sale": "r1", "return": [{"line": 1, "qty": "1"}]},
        refusals=(*_OTHER_SHOP, (400, "too_much"), (400, "part_of_piece"), (503, "sales_offline")),
    ),
    Operation(
        method="POST",
        path="/v1/returns/{id}/commit",
        name="commit_return",
        right=Right.RETURN,
        says="The money was given. Durable before the answer; a repeat gives the first answer.",
        body=models.ReturnMade,
        answers=(answers.ReturnRecorded,),
        example={
            "sale": "r1",
            "return": [{"line": 1, "qty": "1"}],
            "time": "2026-11-24T12:00:00+03:00",
        },
        parameters=(_RETURN_ID,),
        refusals=(*_OTHER_SHOP, (409, "return_changed")),
    ),
    Operation(
        method="GET",
        path="/v1/returns/{id}",
        name="find_return",
        right=Right.RETURN,
        says="What was recorded of a return.",
        answers=(answers.ReturnRecorded,),
        parameters=(_RETURN_ID,),
        refusals=((404, "not_found"),),
    ),
    Operation(
        method="GET",
        path="/v1/sales/{id}",
        name="find_sale",
        says="A sale of this shop or another: what was sold, and how much of it has come back.",
        answers=(answers.SaleTold,),
        right=Right.RETURN,
        parameters=(
            _RECEIPT_ID,
            Parameter(name="store", place="query", says="where it was made; here", example=""),
            Parameter(name="register", place="query", says="at which register", example=""),
        ),
        refusals=((400, "bad_query"), *_OTHER_SHOP, (503, "sales_offline")),
    ),
    Operation(
        method="POST",
        path="/v1/returns-without-receipt/calculate",
        name="calculate_goods",
        says="What is given for goods without a receipt. Nothing is recorded.",
        body=models.GoodsAsked,
        answers=(answers.GoodsTold,),
        example={"goods": _LINES, "cashier": _SENIOR},
        right=Right.RETURN,
        refusals=(
            (400, "receipt"),
            (400, "over_limit"),
            (403, "no_right"),
            (503, "no_bundle"),
        ),
    ),
    Operation(
        method="POST",
        path="/v1/returns-without-receipt/{id}/commit",
        name="commit_goods",
        says="The money was given. Durable before the answer; a repeat gives the first answer.",
        body=models.GoodsBack,
        answers=(answers.ReturnRecorded,),
        example={"goods": _LINES, "cashier": _SENIOR, "time": "2026-11-24T12:00:00+03:00"},
        right=Right.RETURN,
        parameters=(
            Parameter(name="id", place="path", says="the till's id of the return", example="b2"),
        ),
        refusals=((409, "return_changed"),),
    ),
    Operation(
        method="GET",
        path="/v1/preview",
        name="preview",
        right=Right.PRICES,
        says="What an article costs by itself, for anybody and with a card: for price checkers.",
        answers=(answers.Preview,),
        parameters=(
            Parameter(name="sku", place="query", says="the article", example="tea"),
            Parameter(name="price", place="query", says="its shelf price", example="100.00"),
            Parameter(name="qty", place="query", says="how much of it; 1", example="2"),
        ),
        refusals=((400, "bad_query"), (400, "receipt"), (503, "no_bundle")),
    ),
    Operation(
        method="GET",
        path="/v1/coupons",
        name="find_coupon",
        right=Right.PRICES,
        says="Whether a code would count now, for the member of a card if one is named.",
        answers=(answers.CouponNow,),
        parameters=(
            Parameter(name="code", place="query", says="the code as printed", example="GOOD"),
            Parameter(name="card", place="query", says="the member's card", example="100"),
        ),
        refusals=((400, "bad_query"), (400, "receipt"), (503, "no_bundle")),
    ),
    Operation(
        method="GET",
        path="/v1/totals",
        name="totals",
        right=Right.REPORT,
        says="What was sold and returned on a shop day: for the end of a shift.",
        answers=(answers.DayTotals,),
        parameters=(
            Parameter(name="date", place="query", says="the shop day", example="2026-11-23"),
            Parameter(name="register", place="query", says="one register's", example="R1"),
        ),
        refusals=((400, "bad_query"),),
    ),
    Operation(
        method="POST",
        path="/v1/gift-cards/activate",
        name="sell_gift_card",
        right=Right.GIFT_CARDS,
        says="A gift card was sold: from now on it pays. Repeat it freely.",
        body=gift_models.GiftCardSold,
        answers=(gift_models.GiftCardNow,),
        example={
            "operation_id": "r1-2",
            "receipt_id": "r1",
            "number": "4000 0000 0000 0001",
            "amount": "1000.00",
        },
        refusals=(
            (400, "gift_card_amount"),
            *_CARD,
            (409, "gift_card_sold"),
            *_OPERATION,
        ),
        asks_central=True,
    ),
    Operation(
        method="POST",
        path="/v1/gift-cards/balance",
        name="gift_card_balance",
        right=Right.GIFT_CARDS,
        says="What is on a gift card, and until when it pays.",
        body=gift_models.GiftCardAsked,
        answers=(gift_models.GiftCardNow,),
        example={"number": "4000 0000 0000 0001"},
        refusals=(*_CARD, *_PIN),
        asks_central=True,
    ),
    Operation(
        method="POST",
        path="/v1/gift-cards/redeem",
        name="redeem_gift_card",
        right=Right.GIFT_CARDS,
        says="A gift card pays for a receipt, in part or with all that is on it. Repeat it freely.",
        body=gift_models.GiftCardPays,
        answers=(gift_models.GiftCardNow,),
        example={
            "operation_id": "r3-pay1",
            "receipt_id": "r3",
            "number": "4000 0000 0000 0001",
            "amount": "250.00",
        },
        refusals=(
            *_CARD,
            *_PIN,
            (409, "gift_card_not_sold"),
            (409, "gift_card_empty"),
            (409, "gift_card_balance"),
            (409, "gift_card_whole_only"),
            *_OPERATION,
        ),
        asks_central=True,
    ),
    Operation(
        method="POST",
        path="/v1/gift-cards/reverse",
        name="reverse_gift_card",
        right=Right.GIFT_CARDS,
        says="A sale or redemption is undone, or never done when it was not heard of.",
        body=gift_models.GiftCardUndone,
        answers=(gift_models.GiftCardNow,),
        example={"operation_id": "r3-pay1"},
        refusals=((400, "bad_gift_card"), (409, "gift_card_used"), (503, "gift_cards_offline")),
        asks_central=True,
    ),
)
"""In the order of a working day: the examples are answered one after the other."""

RIGHTS: Final = {(each.method, each.path): each.right for each in OPERATIONS}
"""By method and path; what tills do not call is for reports."""
