"""Whatever a till sends about customers is read, or refused with the place and nothing else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.members.requests import (
    IdentifyRequest,
    RegisterMember,
    decode_identify,
    decode_register,
)
from shared.errors import InputError
from shared.wire.members import CONSENTS

texts = st.text(max_size=300)
anything: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
keys = st.sampled_from(
    ["card", "phone", "code", "register", "cashier", "operation_id", "consents", "x"]
)
bodies = st.binary(max_size=100) | st.dictionaries(keys, anything, max_size=6).map(
    lambda value: json.dumps(value).encode("utf-8", "surrogatepass")
)


def read(body: bytes) -> list[IdentifyRequest | RegisterMember | InputError]:
    found: list[IdentifyRequest | RegisterMember | InputError] = []
    for decode in (decode_identify, decode_register):
        try:
            found.append(decode(body))
        except InputError as error:
            found.append(error)
    return found


@given(bodies)
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """Of what is shown there is one; a member agrees to the rules, and to what there is."""
    shown, wanted = read(body)
    if isinstance(shown, IdentifyRequest):
        assert [shown.card, shown.phone, shown.code].count(None) == 2
    if isinstance(wanted, RegisterMember):
        assert wanted.consents[0] == "rules"
        assert set(wanted.consents) <= set(CONSENTS)


@given(st.from_regex(r"[0-9]{10,15}", fullmatch=True))
def test_phone_is_in_no_message_and_no_picture_of_a_request(phone: str) -> None:
    """What is logged by mistake has no phone in it."""
    shown = decode_identify(json.dumps({"phone": phone}).encode())
    form = {"operation_id": "1", "phone": phone, "consents": {"rules": True}}
    wanted = decode_register(json.dumps(form).encode())
    assert phone not in repr(shown)
    assert phone not in repr(wanted)
    (refused, _) = read(json.dumps({"phone": [phone]}).encode())
    assert isinstance(refused, InputError)
    assert phone not in refused.message + str(refused.pointer)


def test_code_that_a_scanner_sends_as_a_card_is_a_code() -> None:
    found = decode_identify(b'{"card": "KQ1:AAAA:c1"}')
    assert (found.card, found.code) == (None, "KQ1:AAAA:c1")
