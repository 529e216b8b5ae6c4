"""Forms of application as the search by seats knows them: which slots of its table are whose."""

from __future__ import annotations

from shared.engine.kinds import Member


class Row:
    """A slot of a recipe: so many seats, and what each member gains in one of them."""

    __slots__ = ("gains", "members", "quantity")

    def __init__(self, quantity: int, members: list[Member], gains: list[int]) -> None:
        self.quantity: int = quantity
        self.members: list[Member] = members
        self.gains: list[int] = gains


def gaining(quantity: int, members: list[Member]) -> Row:
    """Seats in which each member gains what it is worth."""
    return Row(quantity, members, [seat.worth for _, seat in members])


def free(quantity: int, members: list[Member]) -> Row:
    """Seats that any member may take, and that gain nothing by themselves."""
    return Row(quantity, members, [0] * len(members))


class Recipe:
    """A form of application: the table's slots of its rows, and the tally of how many are made."""

    __slots__ = ("result", "rows", "slots", "tally")

    def __init__(self, result: int, rows: list[Row], slots: list[int], tally: int) -> None:
        self.result: int = result
        self.rows: list[Row] = rows
        self.slots: list[int] = slots
        self.tally: int = tally


class Ladder:
    """The pieces of an ``nth`` that go together, dearest first, and the slots of what they are.

    ``tally`` counts its runs.
    """

    __slots__ = ("members", "order", "paid", "result", "taken", "tally")

    def __init__(self, result: int, members: list[Member]) -> None:
        self.result: int = result
        self.members: list[Member] = members
        self.order: dict[int, int] = {index: place for place, (index, _) in enumerate(members)}
        self.paid: list[int] = []
        self.taken: list[int] = []
        self.tally: int = -1
