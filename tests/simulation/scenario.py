"""What one run is about: how large the town is, how long it lives and what befalls it.

A scenario and its seed are the whole of a run. Those that once failed are kept as JSON in
``regressions``.
"""

from __future__ import annotations

import enum

import msgspec

from tests.simulation.world import Dice


class Fault(enum.StrEnum):
    """Kinds of trouble. Each draws from a chance of its own, so any may be left out."""

    WEATHER = "weather"
    """messages are lost, late, doubled, answered in vain"""
    PARTITION = "partition"
    """links are cut, one way or both, half-open, or clogged and freed in another order"""
    CRASH = "crash"
    """an agent's process ends between any two steps and starts again"""
    CLOCK = "clock"
    """a wall clock jumps, either way, by up to years"""
    TILL_CRASH = "till_crash"
    """a till dies between hold, print and capture"""
    LOST = "lost"
    """an agent's whole machine burns; a new one is enrolled"""
    RESTORE = "restore"
    """a database comes back as an older copy; the second medium has gone on"""
    RESTORE_JOURNAL = "restore_journal"
    """the same, and the second medium has the journal too"""
    RESTORE_BLIND = "restore_blind"
    """a database comes back as an older copy, and the second medium with it or not at all"""
    LOST_TAIL = "lost_tail"
    """a disk forgets its last commits in a power cut"""
    WIPED_WITNESS = "wiped_witness"
    """the second medium is lost"""
    CLONE = "clone"
    """a machine is copied and both copies go on"""
    REDELIVERY = "redelivery"
    """the feed brings leases again that it brought before"""
    LONG_OFFLINE = "long_offline"
    """a shop without a link for longer than its leases run"""
    RETURNS = "returns"
    """goods come back"""
    MERGE = "merge"
    """two members turn out to be one"""
    POISON = "poison"
    """records that nobody can read or that say the impossible"""
    CENTRAL_CRASH = "central_crash"
    """central's process ends; what was not committed is gone"""
    CENTRAL_RESTORED = "central_restored"
    """central comes back as it was yesterday"""


class Wrong(enum.StrEnum):
    """A rule done wrong on purpose, to see that the invariants notice."""

    NONE = ""
    RECLAIM_BY_TIME = "reclaim_by_time"
    """central takes a lease back when its time is over, without asking"""
    WALL_CLOCK = "wall_clock"
    """agents judge the end of a lease by the wall clock"""
    EVERY_COPY_GOES_ON = "every_copy_goes_on"
    """whoever comes with another chain is given a new epoch"""
    NAIVE_FEED = "naive_feed"
    """the feed is read by ``id > last``"""


class Program(enum.StrEnum):
    """Who may be of the first release when the others are of this one."""

    CENTRAL = "central"
    HUB = "hub"
    TILL = "till"


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    ``tills``: of each store, 0: its hub is its register; ``receipts_per_day``: of each register;
    ``term_hours``: how long leases run; ``write_off_hours``: how long after its end a lease is
    written off, 0: never, a person decides; ``calm``: how many times longer than usual idle agents
    wait between hellos and upkeep, for long runs. ``brisk``: the first day begins as the shops
    open, and agents that have nothing to do look less often whether they have; what was kept from
    before there were brisk runs is as it was. ``cap_points``: the most that a lease holds, 0: the
    product's own; ``plenty_points``: every few hours each member is given so much that they have
    this again, so that there is something to lose all day long; ``first_release``: who was not
    updated yet.
    """

    seed: int
    days: int = 3
    stores: int = 3
    tills: int = 1
    members: int = 5
    receipts_per_day: int = 12
    term_hours: int = 24
    faults: tuple[Fault, ...] = ()
    write_off_hours: int = 0
    calm: int = 1
    brisk: bool = False
    cap_points: int = 0
    plenty_points: int = 0
    first_release: tuple[Program, ...] = ()
    wrong: Wrong = Wrong.NONE


def scenario_of(seed: int) -> Scenario:
    """The run of a seed: always some weather and crashes, and a few troubles besides."""
    dice = Dice(f"{seed}/scenario")
    others = [fault for fault in Fault if fault not in (Fault.WEATHER, Fault.CRASH)]
    chosen = {Fault.WEATHER, Fault.CRASH, *dice.sample(others, dice.number(1, 4))}
    return Scenario(
        seed=seed,
        days=1,
        stores=dice.choice((2, 2, 2, 3)),
        tills=dice.choice((0, 1, 1, 1, 2)),
        members=dice.number(2, 5),
        receipts_per_day=dice.number(8, 32),
        term_hours=dice.choice((4, 8, 12)),
        faults=tuple(fault for fault in Fault if fault in chosen),
        write_off_hours=dice.choice((0, 0, 0, 4)),
        brisk=True,
        cap_points=dice.choice((0, 100)),
        plenty_points=dice.choice((0, 150)),
    )
