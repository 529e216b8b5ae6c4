"""Everything that crosses a wire, once with every field filled in, and how releases differ in it.

``python tests/golden/wire_examples.py RELEASE`` freezes what this release writes in
``wire/RELEASE/structures.json``. That is done once, when a release is made: a file of a release
that is out is never written anew. Structures of which an earlier release had fewer fields are read
with the rest at its default, and a reader passes over what it does not know.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import msgspec
from msgspec import inspect

import shared.wire
from shared.crypto.chain import chain_genesis
from shared.frames import decode_batch, encoded_records, make_batch
from shared.wire import facts
from shared.wire.facts import FactKind
from shared.wire.stream import Batch, Lane, Record

FOLDER: Final = Path(__file__).parent / "wire"
TODAY: Final = 2
"""The release whose structures are frozen as the newest."""
_DEPTH_MAX: Final = 8
_FACTS: Final = {
    kind.value: structure
    for kind in FactKind
    if (structure := getattr(facts, kind.name.title().replace("_", ""), None)) is not None
}
"""The structure of each kind of record."""


def structures() -> dict[str, type[msgspec.Struct]]:
    """Every structure of ``shared.wire`` by ``module.Name``."""
    found: dict[str, type[msgspec.Struct]] = {}
    for module in sorted(each.name for each in pkgutil.iter_modules(shared.wire.__path__)):
        members = vars(importlib.import_module(f"shared.wire.{module}"))
        for name, value in sorted(members.items()):
            own = getattr(value, "__module__", "") == f"shared.wire.{module}"
            if own and isinstance(value, type) and issubclass(value, msgspec.Struct):
                found[f"{module}.{name}"] = value
    return found


def fields_of(structure: type[msgspec.Struct]) -> list[str]:
    """How its fields are called on the wire, in their order."""
    return [field.encode_name for field in msgspec.structs.fields(structure)]


def example(structure: type[msgspec.Struct]) -> Any:
    """One with every field filled in, no two numbers the same, so that a swap is seen."""
    filled = _filled(inspect.type_info(structure), count(1), 0)
    return msgspec.convert(filled, structure)


def named(value: Any) -> Any:
    """The same in words: structures as their fields by name, bytes as hexadecimal digits."""
    if isinstance(value, msgspec.Struct):
        names = fields_of(type(value))
        parts = [getattr(value, name) for name in value.__struct_fields__]
        return {name: named(part) for name, part in zip(names, parts, strict=True)}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): named(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [named(part) for part in value]
    return value


def known_to(release: int) -> dict[str, list[str]]:
    """The fields of every structure that this release has, as they were frozen."""
    return {name: frozen["fields"] for name, frozen in frozen_of(release).items()}


def frozen_of(release: int) -> dict[str, Any]:
    """By structure: ``fields``, ``bytes`` (msgpack, hexadecimal) and ``means``."""
    found: dict[str, Any] = json.loads((FOLDER / str(release) / "structures.json").read_text())
    return found


def as_seen_by(value: Any, fields: dict[str, list[str]]) -> Any:
    """What a release with these fields makes of it: the fields that it knows, and no others.

    A structure that it does not know at all comes whole: it would not have asked for it.
    """
    if isinstance(value, msgspec.Struct):
        structure = type(value)
        name = f"{structure.__module__.rpartition('.')[2]}.{structure.__name__}"
        names = fields_of(structure)
        known = len(fields.get(name, names))
        parts = [getattr(value, each) for each in value.__struct_fields__]
        seen = [as_seen_by(part, fields) for part in parts[:known]]
        if structure.__struct_config__.array_like:
            return [*_tag_of(structure), *seen]
        return dict(zip(names[:known], seen, strict=True))
    if isinstance(value, list | tuple):
        return [as_seen_by(part, fields) for part in value]
    if isinstance(value, dict):
        return {key: as_seen_by(part, fields) for key, part in value.items()}
    return value


def lengthened(value: Any) -> Any:
    """What a release after this one may write: something more at the end of every structure."""
    if isinstance(value, msgspec.Struct):
        structure = type(value)
        parts = [lengthened(getattr(value, each)) for each in value.__struct_fields__]
        if structure.__struct_config__.array_like:
            return [*_tag_of(structure), *parts, {"later": [1, "x"]}, "later still"]
        return {**dict(zip(fields_of(structure), parts, strict=True)), "later": {"more": [1]}}
    if isinstance(value, list | tuple):
        return [lengthened(part) for part in value]
    if isinstance(value, dict):
        return {key: lengthened(part) for key, part in value.items()}
    return value


def _tag_of(structure: type[msgspec.Struct]) -> list[str | int]:
    """What stands before the fields of a structure that is told from others by a name."""
    tag = structure.__struct_config__.tag
    return [] if tag is None else [tag]


def a_batch() -> Batch:
    """A frame of this release's layout: sales of the first release, and one fact of every kind."""
    old = encoded_records(decode_batch((FOLDER / "1" / "batch.msgpack").read_bytes()))
    bodies = [example(structure) for structure in _FACTS.values()]
    records = list(old)
    for kind, body in zip(_FACTS, bodies, strict=True):
        record = Record(
            uid=len(records).to_bytes(16),
            lane=Lane.RECEIPTS,
            epoch=1,
            seq=len(records) + 1,
            recorded_at_ms=1_793_606_400_000 + len(records),
            kind=kind,
            schema_version=1,
            body=msgspec.msgpack.encode(body),
        )
        records += [msgspec.msgpack.encode(record)]
    genesis = chain_genesis(1001, Lane.RECEIPTS, 1, bytes(range(16)))
    return make_batch(records, first_seq=1, previous_hash=genesis)


def freeze(release: int) -> None:
    """Write what this release's programs write."""
    frozen = {}
    for name, structure in structures().items():
        value = example(structure)
        frozen[name] = {
            "fields": fields_of(structure),
            "bytes": msgspec.msgpack.encode(value).hex(),
            "means": named(value),
        }
    folder = FOLDER / str(release)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(frozen, ensure_ascii=False, indent=1) + "\n"
    (folder / "structures.json").write_text(text)
    batch = a_batch()
    (folder / "batch.msgpack").write_bytes(msgspec.msgpack.encode(batch))
    hashes = [hashlib.sha256(each).hexdigest() for each in encoded_records(batch)]
    (folder / "records.json").write_text(json.dumps(hashes, indent=1) + "\n")


def _filled(kind: inspect.Type, numbers: Iterator[int], depth: int) -> Any:
    """Plain data of this kind."""
    match kind:
        case inspect.StructType():
            values = [_filled(field.type, numbers, depth + 1) for field in kind.fields]
            if kind.array_like:
                return values if kind.tag is None else [kind.tag, *values]
            names = [field.encode_name for field in kind.fields]
            tag = {} if kind.tag_field is None else {kind.tag_field: kind.tag}
            return tag | dict(zip(names, values, strict=True))
        case inspect.BoolType():
            return next(numbers) % 2 == 1
        case inspect.IntType():
            low = 0 if kind.ge is None else int(kind.ge)
            number = low + next(numbers)
            return number if kind.le is None else min(number, int(kind.le))
        case inspect.StrType():
            return f"text {next(numbers)}"
        case inspect.BytesType():
            return next(numbers).to_bytes(16)
        case inspect.EnumType():
            return list(kind.cls)[-1]
        case inspect.LiteralType():
            return kind.values[0]
        case (
            inspect.ListType()
            | inspect.VarTupleType()
            | inspect.SetType()
            | inspect.FrozenSetType()
        ):
            few = 0 if depth > _DEPTH_MAX else 1
            return [_filled(kind.item_type, numbers, depth + 1) for _ in range(few)]
        case inspect.DictType():
            return {
                _filled(kind.key_type, numbers, depth): _filled(kind.value_type, numbers, depth)
            }
        case inspect.UnionType():
            some = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
            return None if depth > _DEPTH_MAX else _filled(some[0], numbers, depth)
        case inspect.NoneType():
            return None
        case inspect.AnyType() | inspect.RawType():
            return next(numbers)
    raise AssertionError(f"nothing is known of {kind}")


if __name__ == "__main__":
    freeze(int(sys.argv[1]))
