"""One archive of all parts, of a bounded size, without the folder's secrets."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from edge_agent.config import CREDENTIAL_FILE, DEVICE_KEY_FILE, TILL_TOKEN_FILE
from edge_agent.support.masking import MASK

PART_BYTES_MAX: Final = 2 * 2**20
BUNDLE_BYTES_MAX: Final = 8 * 2**20
SUFFIX: Final = ".support.zip"
_CUT: Final = b"\n... cut here ...\n"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The first moment that the format knows: when it was made stands inside."""
_SECRET_CHARS_MIN: Final = 8


def pack(parts: Mapping[str, Any], folder: Path) -> bytes:
    """The archive's bytes; parts that do not fit in ``BUNDLE_BYTES_MAX`` are left out."""
    secrets = list(_secrets(folder))
    out = io.BytesIO()
    left = BUNDLE_BYTES_MAX
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            text = part if isinstance(part, str) else _json(part)
            for secret in secrets:
                text = text.replace(secret, MASK)
            data = text.encode("utf-8", "replace")
            if len(data) > PART_BYTES_MAX:
                data = data[-PART_BYTES_MAX:] if name.startswith("log") else data[:PART_BYTES_MAX]
                data = data + _CUT
            if len(data) > left:
                continue
            left -= len(data)
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _json(part: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(part), indent=1).decode()


def _secrets(folder: Path) -> Iterator[str]:
    """What must stand nowhere, in the forms it could stand in: the last net, not the first."""
    for name in (TILL_TOKEN_FILE, CREDENTIAL_FILE, DEVICE_KEY_FILE):
        with suppress(OSError):
            raw = (folder / name).read_bytes()
            text = raw.decode("utf-8", "ignore").strip()
            for form in (text, raw.hex()):
                if len(form) >= _SECRET_CHARS_MIN:
                    yield form
