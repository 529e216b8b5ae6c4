"""The exact optimum of a `best` group, by exhaustive search over kinds of pieces (section 6)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .applicable import claims_allowed, money_left, pieces_left
from .model import Context, Piece, Promotion, State, TooLargeError, UndecidedError
from .pieces import App, Plan, Seen, in_order
from .plans import buckets, nth_app, nth_parts, set_app, set_gain

MOST_PIECES = 24
MOST_STATES = 30_000
Kind = int
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Option:
    """An application to choose: how many pieces of each kind it uses."""

    plan: int
    promo: int
    uses: tuple[tuple[Kind, int], ...]
    slots: tuple[tuple[Kind, ...], ...]
    gain: Fraction
    discounts: int
    chips: int
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Solution:
    """A choice: its key, its options by number, and whether another one is equal to it."""

    key: Key
    chosen: tuple[int, ...]
    tied: bool


class Kinds:
    """Neighbouring pieces that no application tells apart are one kind, also over several lines."""

    def __init__(self, plans: list[Plan]) -> None:
        seen: dict[Piece, Seen] = {}
        marks: dict[Piece, list[Any]] = {}

        def note(s: Seen, *mark: Any) -> None:
            seen[s.piece] = s
            marks.setdefault(s.piece, [s.net]).append(mark)

        for i, plan in enumerate(plans):
            promo, result = plan.promo, plan.result
            if result["do"] == "nth":
                _, _, reward = nth_parts(result)
                for j, bucket in enumerate(buckets(plan.seen, result.get("same"))):
                    for s in bucket:
                        note(s, i, j, s.gain(reward, promo), s.room(promo))
            elif result["do"] == "set":
                for j, (order, _) in enumerate(plan.slots):
                    for s in order:
                        note(s, i, j, set_gain(s, j, result, promo), s.room(promo))
            else:
                at = {s.piece: s for s in plan.seen}
                for app in plan.apps:
                    if app.gain > 0:
                        ((piece, reward),) = app.taken
                        note(at[piece], i, reward, app.gain, at[piece].room(promo), app.chips)
        self.members: list[list[Seen]] = []
        before: Any = None
        for piece in sorted(seen):
            if marks[piece] != before:
                self.members.append([])
            before = marks[piece]
            self.members[-1].append(seen[piece])
        self.of = {s.piece: k for k, group in enumerate(self.members) for s in group}
        states = 1
        for group in self.members:
            states *= len(group) + 1
        if len(seen) > MOST_PIECES or states > MOST_STATES:
            raise TooLargeError(f"{len(seen)} pieces match in a best group")

    def pick(self, kinds: tuple[Kind, ...]) -> list[Seen]:
        """Some different pieces of these kinds: the first of each."""
        next_: Counter[Kind] = Counter()
        found = []
        for kind in kinds:
            found.append(self.members[kind][next_[kind]])
            next_[kind] += 1
        return found

    def multisets(self, seen: list[Seen], size: int) -> Iterator[tuple[Kind, ...]]:
        """Every choice of `size` of these pieces, as kinds."""
        counts = Counter(self.of[s.piece] for s in seen)
        for combo in itertools.combinations_with_replacement(sorted(counts), size):
            need = Counter(combo)
            if all(need[k] <= counts[k] for k in need):
                yield combo


def fill(plan: Plan, slots: tuple[tuple[Seen, ...], ...]) -> App:
    """The application of these pieces."""
    if plan.result["do"] == "nth":
        _, take, reward = nth_parts(plan.result)
        # Of equal prices each grouping takes what it would take alone.
        if plan.result.get("grouping") == "cheapest":
            run = in_order(list(slots[0]), "cheapest")[::-1]
        else:
            run = in_order(list(slots[0]), "dearest")
        return nth_app(run, run[len(run) - take :], reward, plan.promo, exact=True)
    return set_app(plan.result, plan.promo, [list(part) for part in slots], exact=True)


def slot_choices(plan: Plan, kinds: Kinds) -> Iterator[tuple[tuple[Kind, ...], ...]]:
    """Every way to fill an `nth` run or a set, as kinds per slot."""
    if plan.result["do"] == "nth":
        n, _, _ = nth_parts(plan.result)
        for bucket in buckets(plan.seen, plan.result.get("same")):
            for combo in kinds.multisets(bucket, n):
                yield (combo,)
        return
    whole = [len(group) for group in kinds.members]
    for combos in itertools.product(*(list(kinds.multisets(o, q)) for o, q in plan.slots)):
        need = Counter(k for part in combos for k in part)
        if all(need[k] <= whole[k] for k in need):
            yield combos


def options_of(index: int, plan: Plan, promo: int, kinds: Kinds) -> list[Option]:
    """The applications of one result to choose from."""
    found: dict[Any, Option] = {}

    def add(slots: tuple[tuple[Kind, ...], ...], app: App) -> None:
        flat = tuple(sorted(k for part in slots for k in part))
        if app.gain <= 0 or (flat in found and found[flat].gain >= app.gain):
            return
        uses = tuple(sorted(Counter(flat).items()))
        lines = tuple(flat)
        found[flat] = Option(index, promo, uses, slots, app.gain, len(app.taken), app.chips, lines)

    if plan.result["do"] in ("nth", "set"):
        for slots in slot_choices(plan, kinds):
            pieces = kinds.pick(tuple(k for part in slots for k in part))
            parts, at = [], 0
            for part in slots:
                parts.append(tuple(pieces[at : at + len(part)]))
                at += len(part)
            add(slots, fill(plan, tuple(parts)))
    else:
        for app in plan.apps:
            add(((kinds.of[app.used[0]],),), app)
    return list(found.values())


class Search:
    """Dynamic programme over how many pieces of each kind are left."""

    def __init__(
        self,
        plans: list[Plan],
        ctx: Context,
        state: State,
        chips_left: Callable[[str], int],
    ) -> None:
        self.plans = plans
        self.kinds = Kinds(plans)
        self.promos: list[Promotion] = []
        for plan in plans:
            if plan.promo not in self.promos:
                self.promos.append(plan.promo)
        self.options: list[Option] = []
        for i, plan in enumerate(plans):
            promo = self.promos.index(plan.promo)
            self.options += options_of(i, plan, promo, self.kinds)
        self.money = [money_left(p, ctx, state) for p in self.promos]
        self.bounds: list[tuple[Callable[[Option], int], int]] = []
        self._bind(ctx, state, chips_left)
        self.capped = [
            i
            for i, plan in enumerate(plans)
            if plan.cap is not None or self.money[self.promos.index(plan.promo)] is not None
        ]
        self.memo: dict[Any, Solution] = {}

    def _bind(self, ctx: Context, state: State, chips_left: Callable[[str], int]) -> None:
        for i, promo in enumerate(self.promos):
            if promo.per_receipt is not None:
                most = promo.per_receipt - state.applications.get(promo.id, 0)
                self.bounds.append((lambda o, i=i: int(o.promo == i), most))  # type: ignore[misc]
            if promo.on_claim:
                claimed = {j for j, p in enumerate(self.plans) if p.promo is promo and p.claimed}
                most = claims_allowed(promo, ctx, state)
                self.bounds.append((lambda o, c=claimed: int(o.plan in c), most))  # type: ignore[misc]
            left = pieces_left(promo, ctx, state)
            if left is not None:
                self.bounds.append(
                    (lambda o, i=i: o.discounts if o.promo == i else 0, int(left))  # type: ignore[misc]
                )
        accounts = Counter(p.chips for p in self.plans if p.chips is not None)
        for account, number in accounts.items():
            if number > 1 and account is not None:
                mine = {j for j, p in enumerate(self.plans) if p.chips == account}
                self.bounds.append(
                    (lambda o, m=mine: o.chips if o.plan in m else 0, chips_left(account))  # type: ignore[misc]
                )

    def rank_of(self, option: Option, at: int) -> tuple[int, ...]:
        """In which order the applications of one result get their pieces: dearest runs first.

        Of an `nth` with `same` by the first line of what is alike, as without a competition.
        """
        plan = self.plans[option.plan]
        result = plan.result
        if result["do"] != "nth":
            return (at,)
        members = self.kinds.members
        way = -1 if result.get("grouping") == "cheapest" else 1
        order = sorted(range(len(members)), key=lambda k: (-members[k][0].price, way * k))
        place = {kind: i for i, kind in enumerate(order)}
        alike = buckets(plan.seen, result.get("same"))
        kinds = [{self.kinds.of[s.piece] for s in bucket} for bucket in alike]
        bucket = next(i for i, found in enumerate(kinds) if option.slots[0][0] in found)
        return (bucket, *sorted(place[k] for k in option.slots[0]))

    def total(self, sums: tuple[Fraction, ...]) -> Fraction:
        """The worth of the capped results."""
        by_promo: dict[int, Fraction] = {}
        for i, value in zip(self.capped, sums, strict=True):
            cap = self.plans[i].cap
            promo = self.promos.index(self.plans[i].promo)
            value_cut = value if cap is None else min(value, cap)
            by_promo[promo] = by_promo.get(promo, Fraction(0)) + value_cut
        found = Fraction(0)
        for promo, value in by_promo.items():
            money = self.money[promo]
            found += value if money is None else min(value, money)
        return found

    def solve(
        self, left: tuple[int, ...], used: tuple[int, ...], sums: tuple[Fraction, ...]
    ) -> Solution:
        """The best key of what is still to come, and its applications."""
        kind = next((k for k, n in enumerate(left) if n), None)
        if kind is None:
            empty = tuple(() for _ in self.promos)
            zeros = tuple(0 for _ in self.promos)
            return Solution((self.total(sums), 0, zeros, empty), (), tied=False)
        memo = (left, used, sums)
        if memo in self.memo:
            return self.memo[memo]
        none_left = tuple(0 if k == kind else n for k, n in enumerate(left))
        best = self.solve(none_left, used, sums)
        for at_option, option in enumerate(self.options):
            if all(k != kind for k, _ in option.uses):
                continue
            if any(left[k] < n for k, n in option.uses):
                continue
            now = tuple(u + f(option) for u, (f, _) in zip(used, self.bounds, strict=True))
            if any(u > most for u, (_, most) in zip(now, self.bounds, strict=True)):
                continue
            rest = list(left)
            for k, n in option.uses:
                rest[k] -= n
            gain = option.gain
            added = sums
            if option.plan in self.capped:
                at = self.capped.index(option.plan)
                added = (*sums[:at], sums[at] + gain, *sums[at + 1 :])
                gain = Fraction(0)
            more = self.solve(tuple(rest), now, added)
            chosen = tuple(sorted((at_option, *more.chosen)))
            found = Solution(joined(more.key, option, gain), chosen, tied=more.tied)
            if found.key > best.key:
                best = found
            elif found.key == best.key:
                tied = best.tied or found.tied or found.chosen != best.chosen
                best = Solution(best.key, best.chosen, tied=tied)
        self.memo[memo] = best
        return best


def joined(key: Key, option: Option, gain: Fraction) -> Key:
    """The key with one application more; greater is better in every place."""
    total, apps, counts, lines = key
    i = option.promo

    def put(lists: Any, more: tuple[int, ...]) -> Any:
        merged = tuple(sorted((*lists[i], *(-x for x in more)), reverse=True))
        return (*lists[:i], merged, *lists[i + 1 :])

    counts = (*counts[:i], counts[i] + 1, *counts[i + 1 :])
    return (
        total + gain,
        apps - 1,
        counts,
        put(lines, option.lines),
    )


def choose(
    plans: list[Plan], ctx: Context, state: State, chips_left: Callable[[str], int]
) -> list[list[App]]:
    """The chosen applications of each plan, with their pieces, lower pieces first."""
    if not plans:
        return []
    search = Search(plans, ctx, state, chips_left)
    full = tuple(len(group) for group in search.kinds.members)
    used = tuple(0 for _ in search.bounds)
    solution = search.solve(full, used, tuple(Fraction(0) for _ in search.capped))
    if solution.tied:
        raise UndecidedError(f"{len(solution.chosen)} applications")
    chosen = [search.options[at] for at in solution.chosen]
    pools = [list(group) for group in search.kinds.members]
    rank = {o: search.rank_of(o, at) for at, o in enumerate(search.options)}
    found: list[list[App]] = []
    for i, plan in enumerate(plans):
        apps = []
        for option in sorted((o for o in chosen if o.plan == i), key=lambda o: rank[o]):
            parts = tuple(tuple(pools[k].pop(0) for k in part) for part in option.slots)
            if plan.result["do"] in ("nth", "set"):
                apps.append(fill(plan, parts))
            else:
                piece = parts[0][0].piece
                old = plan.apps[0]
                kind = option.slots[0][0]
                for app in plan.apps:
                    if search.kinds.of[app.used[0]] == kind:
                        old = app
                apps.append(App([piece], [(piece, old.taken[0][1])], old.gain, old.chips))
        found.append(apps)
    return found
