"""A compiled programme: what the engine runs and what a bundle carries.

Everything is resolved: product lists are in the filters, store groups in the conditions, and
decimals are integers. Whatever stands here, the engine does; what it does not do has no place
here, so that the compiler must refuse it. Arrays on the wire, fields append-only.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

ENGINE_VERSION: Final = 3
"""Grows when a program written before would mean something else or could not be read."""


class _Node(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Common options of every structure of a program."""


class Span(_Node, frozen=True):
    """Inclusive bounds; None is open. The unit is that of whatever is bounded."""

    low: int | None = None
    high: int | None = None

    def holds(self, value: int) -> bool:
        """Whether the value lies within."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


class AttributeTest(_Node, frozen=True):
    """An attribute is one of ``values``, or a number from ``low`` to ``high`` (decimal texts)."""

    key: str
    values: frozenset[str] | None = None
    low: str | None = None
    high: str | None = None


class Filter(_Node, frozen=True):
    """Which lines are meant: every test that is present must hold; none present matches all."""

    skus: frozenset[str] | None = None
    lists: list[Filter] | None = None
    categories: list[str] | None = None
    brands: frozenset[str] | None = None
    attributes: list[AttributeTest] = []
    flags: frozenset[str] | None = None
    price_minor: Span | None = None
    favourite: bool | None = None
    discounted: bool | None = None
    exclude: Filter | None = None
    list_names: list[str] = []
    """What ``lists`` are called: for people who are told what is missing."""


EVERYTHING: Final = Filter()


# --- conditions


class AllOf(_Node, frozen=True, tag="all"):
    """Every part holds."""

    parts: list[Condition]


class AnyOf(_Node, frozen=True, tag="any"):
    """Some part holds."""

    parts: list[Condition]


class Not(_Node, frozen=True, tag="not"):
    """The part does not hold."""

    part: Condition


class StoreIs(_Node, frozen=True, tag="store"):
    """The receipt's store is one of these."""

    values: frozenset[str]


class ChannelIs(_Node, frozen=True, tag="channel"):
    """The receipt's channel is one of these."""

    values: frozenset[str]


class RegisterIs(_Node, frozen=True, tag="register"):
    """The receipt's register is one of these."""

    values: frozenset[str]


class OnlineIs(_Node, frozen=True, tag="online"):
    """Whether the store has its uplink."""

    value: bool


class Attribute(_Node, frozen=True):
    """A customer's attribute is one of the values."""

    key: str
    values: frozenset[str]


class SpentWindow(_Node, frozen=True):
    """What the customer spent in a window, with this receipt's running sum or without."""

    window: str
    span: Span
    with_current: bool = False


class CustomerIs(_Node, frozen=True, tag="customer"):
    """Every test that is present holds; on an anonymous receipt only ``identified`` false does."""

    identified: bool | None = None
    ids: frozenset[str] | None = None
    segments: frozenset[str] | None = None
    not_segments: frozenset[str] | None = None
    levels: frozenset[str] | None = None
    card_categories: frozenset[str] | None = None
    genders: frozenset[str] | None = None
    organisations: frozenset[str] | None = None
    attributes: list[Attribute] = []
    age_years: Span | None = None
    registered_days: Span | None = None
    last_purchase_days: Span | None = None
    purchase_number: int | None = None
    purchase_every: int | None = None
    spent: SpentWindow | None = None
    control: bool | None = None


class Birthday(_Node, frozen=True, tag="birthday"):
    """The receipt's date is near a birthday of the customer (``self``) or of a ``child``."""

    before_days: int
    after_days: int
    of: str = "self"


class Total(_Node, frozen=True, tag="total"):
    """The sum of the matching lines, running or at list amounts, lies within (minor units)."""

    filter: Filter
    span: Span
    at_list: bool = False


class Quantity(_Node, frozen=True, tag="quantity"):
    """The quantity of the matching lines lies within (thousandths)."""

    filter: Filter
    span: Span
    in_base_units: bool = False


class Distinct(_Node, frozen=True, tag="distinct"):
    """The number of different SKUs among the matching lines lies within."""

    filter: Filter
    span: Span


class AnyLine(_Node, frozen=True, tag="any_line"):
    """Some one line matches, with a quantity within (thousandths)."""

    filter: Filter
    span: Span


class CouponShown(_Node, frozen=True, tag="coupon"):
    """A valid coupon of one of the series, or one of the codes (upper case), is presented."""

    series: frozenset[str]
    codes: frozenset[str]


class PaymentIs(_Node, frozen=True, tag="payment"):
    """Some planned payment matches: type, BIN by prefix, amount within (minor units)."""

    types: frozenset[str] | None = None
    bins: list[str] | None = None
    span: Span = Span()


class CounterIs(_Node, frozen=True, tag="counter"):
    """A counter of the customer's lies within (thousandths), or is about to be a multiple.

    ``with_current`` adds the quantity of the matching lines of this receipt.
    """

    counter: str
    span: Span = Span()
    every: int | None = None
    with_current: Filter | None = None


class PointsAre(_Node, frozen=True, tag="points"):
    """The customer's points before the receipt lie within (hundredths)."""

    account: str
    span: Span


class ChipsAre(_Node, frozen=True, tag="chips"):
    """The customer's chips before the receipt lie within."""

    account: str
    span: Span


class Applied(_Node, frozen=True, tag="applied"):
    """Some, or with ``wanted`` false none, of the promotions did something in this receipt."""

    promotions: frozenset[str]
    wanted: bool = True


Condition = (
    AllOf
    | AnyOf
    | Not
    | StoreIs
    | ChannelIs
    | RegisterIs
    | OnlineIs
    | CustomerIs
    | Birthday
    | Total
    | Quantity
    | Distinct
    | AnyLine
    | CouponShown
    | PaymentIs
    | CounterIs
    | PointsAre
    | ChipsAre
    | Applied
)


# --- results


class Choose(enum.StrEnum):
    """In which order pieces are taken."""

    DEAREST = "dearest"
    CHEAPEST = "cheapest"
    LINE = "line"


class Per(enum.StrEnum):
    """What ``quantity_max`` counts over."""

    RECEIPT = "receipt"
    LINE = "line"
    SKU = "sku"


class Measure(enum.StrEnum):
    """What of the matching lines a ladder looks at."""

    QUANTITY = "quantity"
    TOTAL = "total"
    DISTINCT = "distinct"


class Value(enum.StrEnum):
    """What a step of a ladder gives."""

    PERCENT = "percent"
    AMOUNT = "amount"
    AMOUNT_EACH = "amount_each"


class Step(_Node, frozen=True):
    """From this bound on, this value (a rate in millionths or minor units).

    The bound is in the unit of the measure: thousandths, minor units, or a count.
    """

    bound: int
    value: int


class Tiers(_Node, frozen=True):
    """The value of the highest step that the matching lines reach; steps by ascending bound."""

    by: Measure
    steps: list[Step]
    gives: Value = Value.PERCENT


class CategoryRate(_Node, frozen=True):
    """A rate for a category and everything below it."""

    category: str
    percent_ppm: int


class DiscountGoods(_Node, frozen=True, tag="discount_goods"):
    """Off the pieces chosen; exactly one way of saying how much is present.

    ``amount_minor`` is off all together, ``piece_ppms`` are the rates of the first piece, the
    second, … (the last repeats). ``cap_minor`` bounds all that the result gives.
    """

    filter: Filter
    percent_ppm: int | None = None
    amount_each_minor: int | None = None
    amount_minor: int | None = None
    skip_count: int = 0
    quantity_max: int | None = None
    quantity_max_by: Per = Per.RECEIPT
    choose: Choose = Choose.LINE
    cap_minor: int | None = None
    tiers: Tiers | None = None
    piece_ppms: list[int] | None = None
    by_category: list[CategoryRate] | None = None


class SetPrice(_Node, frozen=True, tag="set_price"):
    """A unit price: given, one of the line's own, or down to an ending such as 0.99."""

    filter: Filter
    price_minor: int | None = None
    price_type: str | None = None
    ending_minor: int | None = None
    quantity_max: int | None = None
    choose: Choose = Choose.LINE


class Nth(_Node, frozen=True, tag="nth"):
    """Of each ``every`` pieces, ``take`` are discounted."""

    filter: Filter
    every: int
    take: int = 1
    percent_ppm: int | None = None
    price_minor: int | None = None
    cheapest: bool = False
    same: Per | None = None


class Slot(_Node, frozen=True):
    """A place in a set, and what its pieces get where the set has no reward as a whole."""

    filter: Filter
    quantity: int = 1
    choose: Choose = Choose.DEAREST
    percent_ppm: int | None = None
    price_minor: int | None = None


class GoodsSet(_Node, frozen=True, tag="set"):
    """A set of pieces; its reward as a whole is exactly one of three, or stands at its slots."""

    slots: list[Slot]
    price_minor: int | None = None
    percent_ppm: int | None = None
    amount_minor: int | None = None


class PerSum(_Node, frozen=True):
    """So many for every full amount (minor units) or quantity (thousandths) of what matches.

    ``filter`` None is the result's own filter where it has one, else every line.
    """

    amount_minor: int | None = None
    quantity_milli: int | None = None
    filter: Filter | None = None
    count: int = 1


class GiftGoods(_Node, frozen=True, tag="gift_goods"):
    """Pieces already in the receipt are given at a price; ``count_max`` bounds their number."""

    filter: Filter
    quantity: int = 1
    per: PerSum | None = None
    count_max: int | None = None
    price_minor: int = 0
    choose: Choose = Choose.DEAREST


class LadderStep(_Node, frozen=True):
    """So many chips buy this rate."""

    chips: int
    percent_ppm: int


class ChipsPrice(_Node, frozen=True, tag="chips_price"):
    """Pieces for chips: ``each`` chips a piece at a rate or a price, or a ladder of both.

    ``ladder`` stands by descending chips.
    """

    account: str
    filter: Filter
    each: int | None = None
    percent_ppm: int | None = None
    price_minor: int | None = None
    ladder: list[LadderStep] | None = None
    quantity_max: int | None = None
    choose: Choose = Choose.DEAREST


class CounterNth(_Node, frozen=True, tag="counter_nth"):
    """Every n-th piece of the customer's running count is given at a price."""

    counter: str
    every: int
    filter: Filter
    price_minor: int = 0


class ManualDiscount(_Node, frozen=True, tag="manual"):
    """The cashier's own discount, if within the bound and one of the permissions."""

    filter: Filter
    percent_ppm_max: int
    permissions: frozenset[str] | None = None


class ExternalDiscount(_Node, frozen=True, tag="external"):
    """The amount that another service answered, over the matching lines."""

    service: str
    filter: Filter
    timeout_ms: int = 3000


class DiscountReceipt(_Node, frozen=True, tag="discount_receipt"):
    """Off the matching lines together; exactly one way of saying how much is present.

    ``tiers`` look at the running total of the whole receipt.
    """

    filter: Filter
    percent_ppm: int | None = None
    amount_minor: int | None = None
    price_minor: int | None = None
    tiers: list[Step] | None = None
    tiers_in_money: bool = False
    per_each_minor: int | None = None
    per_amount_minor: int = 0
    above_from_minor: int | None = None
    above_percent_ppm: int = 0
    cap_minor: int | None = None


class SpendPoints(_Node, frozen=True, tag="spend_points"):
    """Points pay a part of the matching lines."""

    account: str
    filter: Filter
    max_percent_ppm: int = 1_000_000
    keep_each_minor: int = 0
    keep_total_minor: int = 0
    step_centi: int | None = None


class RoundTotal(_Node, frozen=True, tag="round_total"):
    """The sum to pay, or each line's, goes down to a multiple."""

    to_minor: int
    each_line: bool = False


class AccruePoints(_Node, frozen=True, tag="accrue_points"):
    """Points for what was paid; exactly one way of saying how many is present."""

    account: str
    filter: Filter
    has_filter: bool = False
    percent_ppm: int | None = None
    by_level_ppm: dict[str, int] | None = None
    per_amount_minor: int | None = None
    per_quantity_milli: int | None = None
    per_points_centi: int = 0
    fixed_centi: int | None = None
    multiply_ppm: int | None = None
    at_list: bool = False
    cap_centi: int | None = None
    cap_day_centi: int | None = None
    active_after_days: int = 0
    expires_after_days: int | None = None
    expires_on_date: str | None = None


class AccrueChips(_Node, frozen=True, tag="accrue_chips"):
    """Chips for what was paid; exactly one way of saying how many is present."""

    account: str
    filter: Filter
    has_filter: bool = False
    per: PerSum | None = None
    fixed: int | None = None
    count_max: int | None = None


class CountBy(enum.StrEnum):
    """What a counter grows by: one a receipt, pieces, or whole units of money paid."""

    RECEIPT = "receipt"
    QUANTITY = "quantity"
    TOTAL = "total"


class Count(_Node, frozen=True, tag="count"):
    """A counter of the customer's grows, or with ``reset`` goes back to zero."""

    counter: str
    by: CountBy
    filter: Filter
    has_filter: bool = False
    reset: bool = False


class IssueCoupon(_Node, frozen=True, tag="issue_coupon"):
    """Coupons for the next visit."""

    series: str
    count: int = 1
    per: PerSum | None = None
    count_max: int | None = None
    valid_days: int | None = None
    text: str = ""


class Message(_Node, frozen=True, tag="message"):
    """A text for somebody at some moment; substitutions are made where names are known."""

    to: str
    at: str
    text: str
    qr: str = ""
    image: str = ""
    confirm: bool = False


class GiftInfo(_Node, frozen=True, tag="gift_info"):
    """What may be handed out beside the receipt; more than one article is a choice."""

    what: list[str]
    is_choice: bool = False
    quantity: int = 1
    per: PerSum | None = None
    count_max: int | None = None


class Service(_Node, frozen=True, tag="service"):
    """An extra service; ``donate_to_minor`` offers to top the sum up to the multiple."""

    code: str
    text: str = ""
    donate_to_minor: int | None = None


GoodsResult = (
    DiscountGoods
    | SetPrice
    | Nth
    | GoodsSet
    | GiftGoods
    | ChipsPrice
    | CounterNth
    | ManualDiscount
    | ExternalDiscount
)
AccrueResult = AccruePoints | AccrueChips | Count
InformResult = IssueCoupon | Message | GiftInfo | Service
Result = (
    DiscountGoods
    | SetPrice
    | Nth
    | GoodsSet
    | GiftGoods
    | ChipsPrice
    | CounterNth
    | ManualDiscount
    | ExternalDiscount
    | DiscountReceipt
    | SpendPoints
    | RoundTotal
    | AccruePoints
    | AccrueChips
    | Count
    | IssueCoupon
    | Message
    | GiftInfo
    | Service
)


# --- promotions


class Window(_Node, frozen=True):
    """Minutes of the day, half-open; one that passes midnight has ``to`` above 1440."""

    from_minute: int
    to_minute: int


class Active(_Node, frozen=True):
    """When a promotion is active, in the receipt's local time.

    ``from_text``/``to_text``: a date (both inclusive) or a date-time (``to`` exclusive), ISO.
    """

    from_text: str | None = None
    to_text: str | None = None
    weekdays: frozenset[int] | None = None
    windows: list[Window] | None = None


class CustomerLimit(_Node, frozen=True):
    """What one customer may use in a period; ``quantity`` counts pieces."""

    per: str
    times: int | None = None
    quantity_milli: int | None = None
    discount_minor: int | None = None


class Limits(_Node, frozen=True):
    """How often and how much; ``skip``: where a limit would cut the promotion, it does nothing."""

    per_receipt: int | None = None
    per_customer: CustomerLimit | None = None
    total_times: int | None = None
    total_discount_minor: int | None = None
    skip: bool = False


class Cost(_Node, frozen=True):
    """Points that a promotion takes each time it acts."""

    account: str
    points_centi: int


class Promotion(_Node, frozen=True):
    """One rule: when, and then what. ``name`` and ``hint`` are texts for people."""

    id: str
    results: list[Result]
    active: Active = Active()
    when: Condition | None = None
    stack: bool = False
    closes: bool = False
    only_one_of: str | None = None
    forbid_spend: bool = False
    forbid_accrual: bool = False
    ignore_floor: bool = False
    ignore_soft: bool = False
    limits: Limits | None = None
    on_claim: bool = False
    cost: Cost | None = None
    name: str = ""
    hint: str = ""


class Resolve(enum.StrEnum):
    """How the promotions of a group share the goods."""

    ALL = "all"
    SUM = "sum"
    FIRST = "first"
    BEST = "best"


class Group(_Node, frozen=True):
    """Promotions in their order (priority, then id)."""

    id: str
    resolve: Resolve
    promotions: list[Promotion]


class Account(_Node, frozen=True):
    """A purse of points: ``rate_minor`` is what one point pays, ``precision_centi`` its grain."""

    id: str
    rate_minor: int = 100
    precision_centi: int = 1


class Index(_Node, frozen=True):
    """By what a receipt reaches its candidates; values are ordinals of promotions, ascending.

    The ordinal of a promotion is its place in the order of evaluation, groups one after another.
    A promotion stands under every key of one condition without which it can do nothing: a SKU,
    brand, category, flag, attribute (``key=value``) of some line, a coupon series or code, a
    segment of the customer. ``always`` are those that have no such key. A promotion that is a
    candidate need not act; one that is none cannot.
    """

    sku: dict[str, list[int]] = {}
    brand: dict[str, list[int]] = {}
    category: dict[str, list[int]] = {}
    flag: dict[str, list[int]] = {}
    attribute: dict[str, list[int]] = {}
    coupon: dict[str, list[int]] = {}
    """By series, or by code in upper case."""
    segment: dict[str, list[int]] = {}
    claim: dict[str, list[int]] = {}
    """By the promotion's own id: it acts only when claimed."""
    always: list[int] = []


class Program(_Node, frozen=True):
    """A whole programme, groups in their order."""

    programme: str
    version: int
    currency: str
    timezone: str
    groups: list[Group]
    accounts: list[Account]
    max_discount_ppm: int = 1_000_000
    points_are_payment: bool = False
    chips: list[str] = []
    hint_pieces: int = 2
    hint_percent_ppm: int = 200_000
    index: Index | None = None
    """None: every promotion is a candidate."""


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(Program)


def encode_program(program: Program) -> bytes:
    """The bytes of a program: the same program always gives the same bytes."""
    return _ENCODER.encode(program)


def decode_program(data: bytes) -> Program:
    """The program of these bytes.

    Raises:
        msgspec.ValidationError: the bytes are not a program of this engine.
    """
    return _DECODER.decode(data)
