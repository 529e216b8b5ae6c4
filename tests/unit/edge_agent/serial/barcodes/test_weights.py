"""Barcodes of weighed goods: any mask, and no misread digit gets through."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_agent.serial.barcodes.digits import ean_check, value_check
from edge_agent.serial.barcodes.weights import Weighed, read_weighed
from shared.errors import InputError
from tests.support.examples import examples

WEIGHT = "22CCCCCWWWWWK"
PRICE = "23CCCCCPPPPPK"
PIECES = "24CCCCCCNNNNK"
CHECKED = "20CCCCCVPPPPK"
CHECKED_5 = "21CCCCVPPPPPK"
MASKS = [WEIGHT, PRICE, PIECES, CHECKED, CHECKED_5]


def print_label(mask: str, code: int, value: int) -> str:
    """What a scale prints: the inverse of reading."""
    digits = {"C": f"{code:0{mask.count('C')}d}"}
    mark = next(mark for mark in "WPN" if mark in mask)
    digits[mark] = f"{value:0{mask.count(mark)}d}"
    if "V" in mask:
        digits["V"] = str(value_check(digits[mark]))
    left = {key: iter(text) for key, text in digits.items()}
    body = "".join(each if each.isdigit() else next(left[each]) for each in mask[:-1])
    return body + str(ean_check(body))


@examples(300)
@given(
    st.sampled_from(MASKS),
    st.integers(min_value=0, max_value=9_999),
    st.integers(min_value=0, max_value=9_999),
)
def test_what_a_scale_prints_is_read_back(mask: str, code: int, value: int) -> None:
    """For weight, price and pieces, with and without the second check digit."""
    read = read_weighed(print_label(mask, code, value), MASKS)
    assert read is not None
    assert read.code == str(code)
    values = {"W": read.weight_milli, "P": read.price_minor, "N": read.pieces}
    assert {mark: v for mark, v in values.items() if v is not None} == {
        next(mark for mark in "WPN" if mark in mask): value
    }


@examples(300)
@given(
    st.sampled_from(MASKS),
    st.integers(min_value=0, max_value=9_999),
    st.integers(min_value=0, max_value=9_999),
    st.integers(min_value=2, max_value=12),
    st.integers(min_value=1, max_value=9),
)
def test_one_wrong_digit_is_always_refused(
    mask: str, code: int, value: int, at: int, by: int
) -> None:
    """Behind the prefix any single digit may be misread, and none becomes a weight."""
    label = print_label(mask, code, value)
    wrong = label[:at] + str((int(label[at]) + by) % 10) + label[at + 1 :]
    assume(wrong != label)
    with pytest.raises(InputError):
        read_weighed(wrong, MASKS)


def test_published_examples() -> None:
    """The usual layout, and the second check digits of the GS1 specifications."""
    assert read_weighed("2200123007544", [WEIGHT]) == Weighed(code="123", weight_milli=754)
    assert value_check("2875") == 9
    assert value_check("14685") == 6


def test_wrong_second_check_digit_is_refused() -> None:
    """Even where the last digit fits."""
    label = print_label(CHECKED, 123, 2875)
    body = label[:7] + str((int(label[7]) + 1) % 10) + label[8:12]
    with pytest.raises(InputError):
        read_weighed(body + str(ean_check(body)), [CHECKED])


def test_other_prefixes_lengths_and_letters_are_no_weight_barcodes() -> None:
    """Ordinary goods are left to others."""
    for text in ("4600001000014", "220012300754", "22001230075440", "22001230075A4", ""):
        assert read_weighed(text, MASKS) is None
    assert read_weighed("2200123007544", []) is None
