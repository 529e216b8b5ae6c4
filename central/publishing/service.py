"""Compile, prove, sign, store, announce: all of it or nothing."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from central.database.pool import Connection, Pool
from central.database.retry import in_transaction
from central.limits import budgets, rights
from central.promotions import store
from central.publishing.golden import golden_receipts
from rules_compiler.diagnostics import Diagnostic, Severity
from rules_compiler.pipeline import compile_document
from shared.bundle.golden import prove_golden
from shared.bundle.trust import open_bundle
from shared.bundle.writer import write_bundle
from shared.clock import Clock
from shared.crypto.signing import Signer
from shared.engine.program import Program
from shared.errors import ConflictError, InputError
from shared.uses import limits_of
from shared.wire.feed import BundleEntry
from shared.wire.problem import Finding
from shared.wire.receipt import Receipt


class DocumentError(InputError):
    """The programme document has errors; nothing was published."""

    code = "bad_document"

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__(hint="Correct every finding and publish again.")
        self.findings = findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is in force now, and what the compiler would rather have seen."""

    version: int
    programme: str
    size_bytes: int
    warnings: list[Finding]


class Publishing:
    """Publishes documents with one signing key."""

    def __init__(self, pool: Pool, clock: Clock, signer: Signer) -> None:
        self._pool = pool
        self._clock = clock
        self._signer = signer

    async def publish(self, document: bytes, *, by: str) -> Published:
        """Put a document in force.

        Raises:
            DocumentError: it has errors; ``findings`` has all of them.
            ConflictError: its version is not above the one in force.
            TrustError: the bundle is too large, or a golden receipt does not come out again.
            UnavailableError: others hold the rows of its budgets for too long.
        """
        # Many promotions take seconds, in which others are to be served.
        compilation = await asyncio.to_thread(compile_document, document)
        errors = [item for item in compilation.diagnostics if item.severity is Severity.ERROR]
        if errors or compilation.program is None:
            raise DocumentError([_finding(item) for item in errors])
        program = compilation.program
        now_ms = self._clock.now_ms()
        async with self._pool.connection() as connection:
            golden = await golden_receipts(connection, program)
        bundle = await asyncio.to_thread(self._proven_bundle, program, golden, now_ms)
        entry = BundleEntry(
            version=program.version,
            sha256=hashlib.sha256(bundle).digest(),
            size_bytes=len(bundle),
            published_at_ms=now_ms,
        )
        limits = limits_of(
            (each.id, each.limits) for group in program.groups for each in group.promotions
        )

        async def put(connection: Connection) -> None:
            await store.lock(connection)
            await _check_above(connection, program.version)
            await store.put_bundle(
                connection,
                entry,
                programme=program.programme,
                bundle=bundle,
                document=document,
                published_by=by,
            )
            await rights.put_in_force(connection, limits)
            await budgets.put_in_force(connection, limits, program.version, now_ms=now_ms)

        await in_transaction(self._pool, put)
        return Published(
            version=program.version,
            programme=program.programme,
            size_bytes=len(bundle),
            warnings=[_finding(item) for item in compilation.diagnostics],
        )

    def _proven_bundle(self, program: Program, golden: list[Receipt], now_ms: int) -> bytes:
        """The bundle, let in here as a shop will."""
        bundle = write_bundle(program, self._signer, created_at_ms=now_ms, golden=golden)
        trusted = {self._signer.key_id: self._signer.public_key}
        prove_golden(open_bundle(bundle, trusted, version_floor=program.version))
        return bundle


async def _check_above(connection: Connection, version: int) -> None:
    latest = await store.latest_bundle(connection)
    if latest is not None and latest["version"] >= version:
        raise ConflictError(
            f"version {latest['version']} is in force; {version} is not above it",
            hint="A version never goes back: raise `version` in the document.",
            pointer="/version",
            code="version_not_above",
        )


def _finding(item: Diagnostic) -> Finding:
    return Finding(code=item.code, detail=item.message, pointer=item.pointer, hint=item.hint)
