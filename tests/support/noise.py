"""Lines that change what travels on them, by a seed that is printed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable


def a_seed() -> int:
    """A new seed, printed: ``KOPILKA_SEED=…`` in the environment plays the run again."""
    seed = int(os.environ.get("KOPILKA_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    return seed


def flip_bits(data: bytes, rng: random.Random, count: int) -> bytes:
    """So many different bits of the data turned over."""
    changed = bytearray(data)
    for place in rng.sample(range(len(data) * 8), min(count, len(data) * 8)):
        changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def mangle(data: bytes, rng: random.Random) -> bytes:
    """Flips, losses, additions and bursts at random places: what bad cables do."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        length = rng.randint(1, 6)
        match rng.randrange(4):
            case 0:
                changed[:] = flip_bits(bytes(changed), rng, length) if changed else b""
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = rng.randbytes(length)
            case _:
                changed[at : at + length] = rng.randbytes(length)
    return bytes(changed)


Noise = Callable[[bytes], bytes]
