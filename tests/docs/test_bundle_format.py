"""The page about bundles tells how they really lie in bytes."""

from __future__ import annotations

import ast
import re

import msgspec

from shared import limits
from shared.bundle import layout
from tests.docs.examples import DOCS, ROOT

PAGE = (DOCS / "bundle_format.md").read_text("utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]


def first_cells(text: str) -> list[str]:
    return [
        word
        for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for word in re.findall(r"`(\w+)`", row)
    ]


def test_the_fields_of_the_header_stand_in_their_order() -> None:
    """It is an array: the order is the format."""
    fields = [field.name for field in msgspec.structs.fields(layout.BundleHeader)]

    assert first_cells(section("The header")) == fields


def test_the_parts_have_their_sizes() -> None:
    """Numbers of bytes that a reader counts by."""
    sizes = re.findall(r"^\| ([\w ]+) \| (\d+) \|", section("The parts"), re.MULTILINE)

    assert {name: int(size) for name, size in sizes} == {
        "magic": len(layout.MAGIC),
        "header length": layout.LENGTH_BYTES,
        "key id": layout.KEY_ID_BYTES,
        "signature": layout.SIGNATURE_BYTES,
    }


def test_the_bounds_are_those_of_the_product() -> None:
    """Sizes that a shop refuses beyond."""
    checks = section("What a shop checks, in this order")
    mib = 2**20

    assert f"at most {limits.BUNDLE_BYTES_MAX // mib} MiB in all" in checks
    assert f"at most {limits.BUNDLE_PAYLOAD_BYTES_MAX // mib} MiB unpacked" in checks
    assert f"at most {limits.BUNDLE_GOLDEN_MAX} golden receipts" in checks
    assert f"{limits.BUNDLE_GOLDEN_BYTES_MAX // mib} MiB together" in checks
    assert f"{layout.HEADER_BYTES_MAX // 1024} KiB at most" in section("The parts")


def test_every_code_of_a_refusal_is_in_the_table() -> None:
    """The codes that the sources of bundles name."""
    codes = {
        str(keyword.value.value)
        for path in sorted((ROOT / "shared" / "bundle").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
    }

    assert [code for code in sorted(codes) if f"`{code}`" not in PAGE] == []
