"""Where the hub may be."""

from __future__ import annotations

import random

import pytest

from edge_agent.discovery.announcement import own_addresses, urls_of
from edge_agent.discovery.policy import PLACES_MAX, TURNS_LOST, Places

A, B, C = "http://10.0.0.1:1", "http://10.0.0.2:1", "http://10.0.0.3:1"


def test_fixed_address_is_asked_first_and_never_forgotten() -> None:
    places = Places(A)
    places.found("x", [B])
    assert places.current() == A
    places.failed(A)
    assert places.current() == B
    places.gone("x")
    assert places.current() == A
    places.failed(A)
    assert places.current() == A


def test_a_hub_that_moved_is_asked_at_its_new_address() -> None:
    places = Places()
    assert places.current() is None
    places.found("x", [A])
    places.found("x", [B])
    assert places.current() == B
    places.gone("x")
    assert places.current() is None


def test_an_address_that_answers_stays_first_whatever_is_announced() -> None:
    """A rogue announcement cannot take over: it waits at the end until the good one fails."""
    places = Places()
    places.found("good", [A])
    for number in range(1000):
        places.found(f"rogue-{number}", [f"http://10.9.9.{number % 250}:{number + 1}"])
    assert places.current() == A


def test_a_new_address_goes_first_only_where_nobody_answers() -> None:
    places = Places()
    places.found("old", [A])
    places.answered(A)
    places.found("new", [B])
    assert places.current() == A
    places.failed(A)
    assert (places.current(), places.untried) == (B, True)
    places.failed(B)
    assert (places.current(), places.untried) == (A, False)
    places.found("newer", [C])
    assert (places.current(), places.untried) == (C, True)


def test_an_impostor_loses_its_turns_but_not_for_ever() -> None:
    """The hub's own address is among those: it may have got a new key that is not yet known."""
    places = Places(A)
    places.found("x", [B])
    places.distrusted(A)
    asked = []
    for _ in range(3 * TURNS_LOST):
        current = places.current()
        assert current is not None
        asked.append(current)
        places.failed(current)
    assert asked[:TURNS_LOST] == [B] * TURNS_LOST
    assert A in asked
    alone = Places(A)
    alone.distrusted(A)
    assert alone.current() == A


def test_every_address_gets_its_turn_again_and_memory_is_bounded() -> None:
    """Whatever is announced, taken back and fails: nobody known is left out for ever."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    places = Places(A)
    for _ in range(2_000):
        name = f"n{chance.randrange(60)}"
        match chance.randrange(4):
            case 0:
                places.found(
                    name, [f"http://10.1.1.{chance.randrange(1, 250)}:9" for _ in range(3)]
                )
            case 1:
                places.gone(name)
            case 2:
                current = places.current()
                assert current is not None
                places.failed(current)
            case _:
                current = places.current()
                assert current is not None
                places.distrusted(current)
    for _ in range(PLACES_MAX * TURNS_LOST):
        current = places.current()
        assert current is not None
        places.failed(current)
    asked = []
    for _ in range(PLACES_MAX + 1):
        current = places.current()
        assert current is not None
        asked.append(current)
        places.failed(current)
    assert A in asked
    assert len(set(asked)) <= PLACES_MAX
    assert asked[len(set(asked))] == asked[0]


@pytest.mark.parametrize(
    ("addresses", "port", "urls"),
    [
        (["10.0.0.1", "fd00::1"], 8471, ["http://10.0.0.1:8471", "http://[fd00::1]:8471"]),
        (["0.0.0.0", "224.0.0.251", "rubbish", ""], 8471, []),  # noqa: S104 - what is announced
        (["10.0.0.1"], 0, []),
        (["10.0.0.1"], 65_536, []),
        (["10.0.0.1"], None, []),
    ],
)
def test_only_sensible_addresses_are_asked(
    addresses: list[str], port: int | None, urls: list[str]
) -> None:
    assert urls_of(addresses, port) == urls


def test_a_hub_announces_what_it_listens_at() -> None:
    assert own_addresses("10.1.2.3") == ["10.1.2.3"]
    assert all(not each.startswith("127.") for each in own_addresses("0.0.0.0"))  # noqa: S104 - asked


@pytest.mark.parametrize("names", [1, PLACES_MAX, 3 * PLACES_MAX])
def test_strangers_who_came_first_do_not_hide_the_hub(names: int) -> None:
    """However many addresses and names they announce: the hub is asked in the next turn."""
    places = Places()
    for name in range(names):
        places.found(f"stranger-{name}", [f"http://10.9.{name}.{n}:80" for n in range(40)])
    places.found("hub", ["http://192.168.1.2:8471"])
    asked = []
    for _ in range(PLACES_MAX):
        url = places.current()
        assert url is not None
        asked.append(url)
        places.failed(url)
    assert "http://192.168.1.2:8471" in asked
    assert len(set(asked)) <= PLACES_MAX


def test_hub_that_answered_gives_way_to_no_stranger() -> None:
    """Whatever they announce after it, also under its address."""
    places = Places()
    places.found("hub", ["http://192.168.1.2:8471", "http://192.168.1.3:8471"])
    places.answered("http://192.168.1.2:8471")
    for name in range(3 * PLACES_MAX):
        places.found(f"stranger-{name}", [f"http://10.9.{name}.{n}:80" for n in range(40)])
    assert places.current() == "http://192.168.1.2:8471"
    for name in range(3 * PLACES_MAX):
        places.found(f"thief-{name}", ["http://192.168.1.2:8471"])
    assert places.current() == "http://192.168.1.2:8471"
