"""Hold the bundle in force and the one before it; let a new one in only after every check.

``active`` is read once per receipt: a swap is one assignment, so no receipt sees two bundles. The
golden receipts of a bundle must come out before it is let in; then they are forgotten.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edge_agent.bundles.store import (
    read_bundle,
    remove_others,
    stored_versions,
    write_bundle_file,
)
from shared.bundle.golden import prove_golden
from shared.bundle.trust import VerifiedBundle, open_bundle
from shared.errors import AppError, ConflictError, TrustError, UnavailableError
from shared.logs import get_logger

_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slots:
    active: VerifiedBundle | None = None
    previous: VerifiedBundle | None = None


class BundleService:
    """The bundles of one agent. ``trusted``: raw public keys by key id."""

    def __init__(self, folder: Path, trusted: Mapping[str, bytes]) -> None:
        """Open what lies in the folder; a file that fails its checks is passed over and named."""
        self._folder = folder
        self._trusted = trusted
        self._offering = threading.Lock()
        self._error: str | None = None
        versions = stored_versions(folder)
        # A damaged file still says how far this agent had come.
        self._floor = versions[0] if versions else 0
        opened = [bundle for version in versions if (bundle := self._open(version)) is not None]
        if opened:
            self._prove_again(opened[0])
        slots = [replace(bundle, golden=()) for bundle in opened]
        self._slots = _Slots(
            active=slots[0] if slots else None,
            previous=slots[1] if len(slots) > 1 else None,
        )

    @property
    def active(self) -> VerifiedBundle | None:
        """The bundle that prices receipts; None before the first came."""
        return self._slots.active

    @property
    def previous(self) -> VerifiedBundle | None:
        """The bundle in force before, for receipts calculated then."""
        return self._slots.previous

    @property
    def floor(self) -> int:
        """No version below this is let in."""
        return self._floor

    @property
    def last_error(self) -> str | None:
        """Why the last bundle was refused; None when the last one was good."""
        return self._error

    def offer(self, data: bytes) -> VerifiedBundle:
        """Check a bundle, keep it, put it in force; blocking. The active one again is no change.

        Raises:
            TrustError: the bundle failed a check; the active one stays.
            ConflictError: this version is in force with other contents.
            UnavailableError: the file could not be kept.
        """
        with self._offering:
            try:
                bundle = self._let_in(data)
            except AppError as error:
                self._error = f"{error.stable_code}: {error.message}"
                _LOG.warning("bundle.refused", code=error.stable_code, detail=error.message)
                raise
            self._error = None
            return bundle

    def _let_in(self, data: bytes) -> VerifiedBundle:
        bundle = open_bundle(data, self._trusted, version_floor=self._floor)
        active, version = self._slots.active, bundle.header.version
        if active is not None and active.header.version == version:
            if active.sha256 != bundle.sha256:
                raise ConflictError(
                    f"version {version} is in force with other contents",
                    code="bundle_changed",
                    hint="Publish the changed content with a higher version.",
                )
            return active
        prove_golden(bundle)
        bundle = replace(bundle, golden=())
        try:
            write_bundle_file(self._folder, version, data)
        except OSError as error:
            raise UnavailableError("the bundle could not be kept on the disk") from error
        self._floor = version
        self._slots = _Slots(active=bundle, previous=active)
        kept = {version} if active is None else {version, active.header.version}
        # A file too many does no harm; the next swap tries again.
        with contextlib.suppress(OSError):
            remove_others(self._folder, kept)
        _LOG.info("bundle.activated", version=version, sha256=bundle.sha256.hex())
        return bundle

    def _prove_again(self, bundle: VerifiedBundle) -> None:
        """Tell of an agent that was renewed and prices otherwise than before.

        The bundle stays in force all the same: it was proven once, and a shop without a programme
        is worse off than one whose head office sees what to mend.
        """
        try:
            prove_golden(bundle)
        except TrustError as error:
            version = bundle.header.version
            self._error = f"stored bundle {version}: {error.stable_code}: {error.message}"
            _LOG.error("bundle.golden_differs", version=version, detail=error.message)

    def _open(self, version: int) -> VerifiedBundle | None:
        try:
            return open_bundle(
                read_bundle(self._folder, version), self._trusted, version_floor=version
            )
        except (AppError, OSError) as error:
            detail = error.message if isinstance(error, AppError) else "cannot be read"
            self._error = f"stored bundle {version}: {detail}"
            _LOG.error("bundle.unusable", version=version, detail=detail)
            return None
