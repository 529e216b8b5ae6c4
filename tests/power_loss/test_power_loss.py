"""The power fails at every write of a shop's day, and the agent starts on what the disks hold then.

Images are taken at random moments of a recorded run, with what was not flushed kept, dropped,
shuffled or torn. ``KOPILKA_EXAMPLES`` says how many there are of all together, ``KOPILKA_SEED``
repeats a choice; the seed is printed.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.power_loss.disk import Disk, Loss, write_out
from tests.power_loss.judge import Told, Verdict, judge_trade, judge_update, start
from tests.power_loss.scripts import SHOP, Disks, record_trade, record_update
from tests.power_loss.tape import Call, Tape, recording

IMAGES: Final = int(os.environ.get("KOPILKA_EXAMPLES", "320"))
STEPS: Final = 24 if IMAGES < 1_000 else 90
"""What happens in the recorded day."""
MEMORY: Final = Path("/dev/shm")
"""Images are many, and not for keeping."""


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("KOPILKA_SEED") or secrets.randbits(32))
    print(f"KOPILKA_SEED={seed}")
    return random.Random(seed)


def verdicts(
    tape: Tape,
    judge: Callable[[Path, Told], Verdict],
    chance: random.Random,
    share: float,
    folder: Path,
    lies: Callable[[Call], bool] = lambda _: False,
) -> Counter[str]:
    """Start on this share of all images; what was found. A verdict that must not be is told."""
    count = max(1, round(IMAGES * share))
    moments = sorted(chance.choices(range(1, len(tape.calls) + 1), k=count))
    root = (MEMORY if MEMORY.is_dir() else folder) / f"power-loss-{os.getpid()}"
    disk, told, at = Disk.of(tape, lies), Told(), 0
    found: Counter[str] = Counter(images=0)
    try:
        for moment in moments:
            for call in tape.calls[at:moment]:
                disk.do(call)
                if call.mark is not None:
                    told.hear(call.mark)
            at = moment
            loss = chance.choice(list(Loss))
            shutil.rmtree(root, ignore_errors=True)
            write_out(disk.after_power_cut(loss, chance), tape, root)
            verdict = judge(root, told)
            found["images"] += 1
            found["noticed"] += verdict.noticed
            for name in ("lost", "forgotten", "stale", "wrong"):
                what = getattr(verdict, name)
                if what:
                    found[name] += 1
                    found[f"{name} in silence"] += not verdict.noticed
                if what and (not verdict.noticed or name in ("lost", "wrong")):
                    print(
                        f"call {moment} of {len(tape.calls)}, {loss}, {verdict.reason}:", name, what
                    )
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(dict(found))
    return found


@pytest.mark.parametrize(("disks", "share"), [(Disks.ONE, 0.4), (Disks.JOURNAL, 0.15)])
def test_nothing_told_is_lost_by_a_power_cut(
    tmp_path: Path, chance: random.Random, disks: Disks, share: float
) -> None:
    """Fault 1: every answered receipt, what was set aside, whole checkpoints, the told bundle."""
    tape = record_trade(tmp_path / "recorded", disks, steps=STEPS, seed=chance.randrange(2**32))
    found = verdicts(
        tape, lambda root, told: judge_trade(root, told, disks), chance, share, tmp_path
    )
    assert set(found.elements()) == {"images"}


def test_update_is_whole_or_not_begun(tmp_path: Path, chance: random.Random) -> None:
    """Faults 1 and 18: an old database becomes a new one with everything, and leaves its copy."""
    tape = record_update(tmp_path / "recorded")
    found = verdicts(tape, lambda root, _: judge_update(root), chance, 0.1, tmp_path)
    assert set(found.elements()) == {"images"}


@pytest.mark.parametrize("honest_share", [0.0, 0.5])
def test_lying_disk_is_found_out_by_the_witness(
    tmp_path: Path, chance: random.Random, honest_share: float
) -> None:
    """Fault 5: the disk drops flushes; whatever is missing then, the agent does not go on as if."""
    tape = record_trade(
        tmp_path / "recorded", Disks.WITNESS, steps=STEPS, seed=chance.randrange(2**32)
    )

    def lies(call: Call) -> bool:
        return call.path.startswith(SHOP) and chance.random() >= honest_share

    found = verdicts(
        tape,
        lambda root, told: judge_trade(root, told, Disks.WITNESS),
        chance,
        0.1,
        tmp_path,
        lies,
    )
    assert found["noticed"] > 0
    assert found["wrong"] == 0
    assert found["lost in silence"] == found["forgotten in silence"] == 0


@pytest.mark.parametrize("honest_share", [0.0, 0.5])
def test_second_journal_gives_back_what_a_lying_disk_lost(
    tmp_path: Path, chance: random.Random, honest_share: float
) -> None:
    """Fault 5: no answered sale is lost, whatever the database's disk dropped."""
    tape = record_trade(
        tmp_path / "recorded", Disks.JOURNAL, steps=STEPS, seed=chance.randrange(2**32)
    )

    def lies(call: Call) -> bool:
        return call.path.startswith(SHOP) and chance.random() >= honest_share

    found = verdicts(
        tape,
        lambda root, told: judge_trade(root, told, Disks.JOURNAL),
        chance,
        0.05,
        tmp_path,
        lies,
    )
    assert found["noticed"] > 0
    assert found["lost"] == found["wrong"] == 0


def test_lying_second_disk_costs_nothing(tmp_path: Path, chance: random.Random) -> None:
    """Fault 13: the database has everything, whatever is missing beside it."""
    tape = record_trade(
        tmp_path / "recorded", Disks.JOURNAL, steps=STEPS, seed=chance.randrange(2**32)
    )
    found = verdicts(
        tape,
        lambda root, told: judge_trade(root, told, Disks.JOURNAL),
        chance,
        0.05,
        tmp_path,
        lambda call: not call.path.startswith(SHOP),
    )
    assert set(found.elements()) == {"images"}


def test_log_of_a_failed_flush_is_written_again(tmp_path: Path, chance: random.Random) -> None:
    """Fault 6: what the kernel only believes to be on the disk is there before it is relied on.

    The log is found as it was read; on the disk are none of its bytes. After the start a power cut
    that drops everything else leaves every record.
    """
    root = tmp_path / "recorded"
    tape = record_trade(root, Disks.ONE, steps=6, seed=chance.randrange(2**32))
    disk, told = Disk.of(tape), Told()
    last = max(at for at, call in enumerate(tape.calls) if (call.mark or ("",))[0] == "told")
    for call in tape.calls[: last + 1]:
        disk.do(call)
        if call.mark is not None:
            told.hear(call.mark)
    read = disk.after_power_cut(Loss.KEPT, chance)
    log = f"{SHOP}/edge.sqlite-wal"
    assert read[log], "the run ends with a log"
    again = tmp_path / "again"
    write_out(read, tape, again)
    with recording(again) as start_tape:
        start(again, Disks.ONE)
    start_tape.before[log] = bytes(len(read[log]))
    opened = Disk.of(start_tape)
    flushed = next(
        at for at, call in enumerate(start_tape.calls) if (call.what, call.path) == ("flush", log)
    )
    for call in start_tape.calls[: flushed + 1]:
        opened.do(call)
    after = tmp_path / "after"
    write_out(opened.after_power_cut(Loss.DROPPED, chance), tape, after)
    verdict = judge_trade(after, told, Disks.ONE)
    assert not verdict.noticed
    assert verdict.lost == verdict.wrong == []
