"""Price a stored receipt again with the bundle of that moment: the same answer, with reasons."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from central.database.pool import Connection, Pool
from central.promotions import store as promotions
from central.receipts import store as receipts
from shared.bundle.trust import open_bundle
from shared.crypto.signing import Signer
from shared.engine.evaluate import evaluate
from shared.engine.ready import Ready
from shared.errors import NotFoundError
from shared.wire.answer import Answer

PROGRAMS_KEPT: Final = 8


class Replay:
    """Evaluates stored receipts; keeps the programs it used last, ready."""

    def __init__(self, pool: Pool, signer: Signer) -> None:
        self._pool = pool
        self._trusted = {signer.key_id: signer.public_key}
        self._programs: OrderedDict[int, Ready] = OrderedDict()

    async def __call__(self, record_uid: bytes) -> Answer:
        """The answer of a stored receipt, with its trace.

        Raises:
            NotFoundError: the receipt or its bundle is unknown.
        """
        async with self._pool.connection() as connection:
            stored = await receipts.get_receipt(connection, record_uid)
            program = await self.program(connection, stored.row["bundle_version"])
        return evaluate(program, stored.receipt, trace=True)

    async def differences(self, connection: Connection) -> int:
        """How many stored answers are not what the engine gives now.

        An answer of a version that was never published here cannot be told again, and counts.
        """
        different = 0
        async for row in receipts.walk(connection):
            try:
                program = await self.program(connection, row["bundle_version"])
            except NotFoundError:
                different += 1
                continue
            receipt, answer = receipts.sale_of(row)
            again = evaluate(program, receipt)
            different += again != msgspec.structs.replace(answer, trace=[])
        return different

    async def program(self, connection: Connection, version: int) -> Ready:
        """The program of a published bundle, its signature checked."""
        program = self._programs.get(version)
        if program is None:
            row = await promotions.get_bundle(connection, version)
            program = open_bundle(row["bytes"], self._trusted, version_floor=0).ready
            self._programs[version] = program
            if len(self._programs) > PROGRAMS_KEPT:
                self._programs.popitem(last=False)
        self._programs.move_to_end(version)
        return program
