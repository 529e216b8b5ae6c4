"""Write the golden bundles anew: ``python tests/golden/generate.py [FOLDER]``; review the diff.

They are to change only when the format, the engine's version or the packer does. ``before.bundle``
is as releases without golden receipts wrote it, and must be read for ever by this engine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import msgspec
import zstandard

from shared.bundle.writer import write_bundle
from shared.engine.program import encode_program
from tests.support.bundles import SIGNER, a_program, header_of, receipts, signed_parts

FOLDER: Final = Path(__file__).parent / "bundles"
_FIELDS_BEFORE: Final = 10


def bundles() -> dict[str, bytes]:
    """The golden bundles by file name."""
    return {
        "golden.bundle": write_bundle(a_program(), SIGNER, created_at_ms=1, golden=receipts(12)),
        "bare.bundle": write_bundle(a_program(), SIGNER, created_at_ms=1),
        "before.bundle": _before(),
    }


def _before() -> bytes:
    payload = encode_program(a_program())
    frame = zstandard.ZstdCompressor(level=12).compress(payload)
    fields = msgspec.structs.astuple(header_of(payload, frame))[:_FIELDS_BEFORE]
    return signed_parts(msgspec.msgpack.encode(fields), frame)


def main() -> None:
    """Write them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in bundles().items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
