"""Array literals mean what the driver's own would mean."""

from __future__ import annotations

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central.database.arrays import array_text, as_arrays

TEXTS = st.lists(
    st.none() | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))
)


@given(
    texts=TEXTS,
    words=st.lists(st.sampled_from(['a"b', "a\\b", "", "NULL", "null", "{}", ",", " ", "ж"])),
    blobs=st.lists(st.none() | st.binary(max_size=20)),
    numbers=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)),
    truths=st.lists(st.none() | st.booleans()),
)
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_what_is_written_is_read(
    database: str,
    texts: list[str | None],
    words: list[str],
    blobs: list[bytes | None],
    numbers: list[int | None],
    truths: list[bool | None],
) -> None:
    """Quotes, backslashes, the word null, no value at all: all come back as they were."""
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "select %(texts)s::text[], %(words)s::text[], %(blobs)s::bytea[],"
            " %(numbers)s::bigint[], %(truths)s::boolean[]",
            as_arrays(
                {
                    "texts": texts,
                    "words": words,
                    "blobs": blobs,
                    "numbers": numbers,
                    "truths": truths,
                }
            ),
        ).fetchone()

    assert row == (texts, words, blobs, numbers, truths)


def test_an_empty_column_is_an_empty_array() -> None:
    """Of whatever kind."""
    assert array_text([]) == "{}"
