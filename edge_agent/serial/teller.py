"""Answers one till: reads a command, has it done, writes the reply; every fault is a reply too."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from edge_agent.serial.barcodes.scan import Scan, read_scan
from edge_agent.serial.charsets import decode_text, encode_text
from edge_agent.serial.display import Picture
from edge_agent.serial.frames import DATA_BYTES_MAX
from edge_agent.serial.gifts import Gifts
from edge_agent.serial.questions import Questions
from edge_agent.serial.replies import FIELD, LINE, REPLY_BYTES_MAX, join
from edge_agent.serial.sale import Sale
from edge_agent.serial.services import Services
from edge_agent.serial.takeback import TakeBack
from edge_agent.serial.texts import text_of
from edge_agent.serial_settings import CodeSettings, Language, TillSettings
from shared.errors import AppError, ConflictError, InputError, UnavailableError
from shared.logs import get_logger
from shared.money import format_minor
from shared.quantity import format_quantity

PROTOCOL_VERSION: Final = 1
SCANS_KEPT_MAX: Final = 16
"""What a till has not fetched yet; the oldest makes room."""
_FIELDS_MAX: Final = 1_100
_FINDINGS_MAX: Final = 10
"""Registering a customer at the till: no service of the agent does that yet."""
_LOG = get_logger(__name__)

Lines = list[list[str]]
_Command = Callable[[list[str]], Awaitable[Lines]]


class Teller:
    """One till's commands and what is kept for it between them."""

    def __init__(
        self,
        services: Services,
        till: TillSettings,
        *,
        codes: CodeSettings,
        language: Language,
        show: Callable[[Picture], None] | None = None,
    ) -> None:
        """``show`` puts a picture on this till's customer display, if there is one."""
        self._services = services
        self._charset = till.charset
        self._codes = codes
        self._language: Language = language
        self._show = show
        self._scans: deque[Scan] = deque(maxlen=SCANS_KEPT_MAX)
        self._sale = Sale(services, register=till.name, codes=codes, language=language, show=show)
        back = TakeBack(services, register=till.name)
        self._commands: dict[str, tuple[int, int, _Command]] = {
            "HELLO": (0, 1, self._hello),
            "STAT": (0, 0, self._status),
            "CODE": (1, 1, self._code),
            "SCAN": (0, 0, self._next_scan),
            "SHOW": (1, 2, self._on_display),
            **self._sale.commands(),
            **back.commands(),
            **Gifts(services).commands(),
            **Questions(services, register=till.name).commands(),
        }
        """By name: how many fields at least and at most follow it, and what it does."""

    def take_code(self, text: str) -> None:
        """The scanner beside this till read something; the till fetches it with ``SCAN``.

        Raises what ``read_scan`` raises.
        """
        self._scans.append(self._read(text))

    async def execute(self, number: int, message: bytes) -> bytes:
        """The reply to a message of this number; never raises what a till could cause."""
        try:
            first, *more = await self._answer(number, message)
            return self._encoded([["OK", *first], *more])
        except AppError as error:
            return self._encoded(self._refusal(error))
        except Exception:  # noqa: BLE001 - the border: whatever happens, a till waits for its reply
            _LOG.exception("serial.command_failed")
            return self._encoded([["ER", "internal", text_of("internal", self._language), "", ""]])

    async def _answer(self, number: int, message: bytes) -> Lines:
        text = decode_text(message, self._charset)
        name, *fields = text.split(FIELD, _FIELDS_MAX)
        if number == 0 and name != "HELLO":
            raise InputError("000 begins a conversation", code="bad_sequence")
        if name not in self._commands:
            raise InputError("there is no such command", code="unknown_command")
        least, most, command = self._commands[name]
        if not least <= len(fields) <= most or LINE in text:
            raise InputError("too few or too many fields", code="wrong_fields")
        first, *more = await command(fields)
        return [[name, *first], *more]

    async def _hello(self, _fields: list[str]) -> Lines:
        """The till has started: what was rung up before is forgotten."""
        self._sale.forget()
        self._scans.clear()
        return [[str(PROTOCOL_VERSION), self._services.store_id, str(DATA_BYTES_MAX)]]

    async def _status(self, _fields: list[str]) -> Lines:
        report = await self._services.report()
        return [
            [
                str(report["health"]),
                str(report["bundle_version"] or ""),
                "1" if report["link"]["online"] else "0",
                str(report["queue_depth"]),
                self._services.agent_version,
            ]
        ]

    async def _code(self, fields: list[str]) -> Lines:
        return [_scan_fields(self._read(fields[0]))]

    async def _next_scan(self, _fields: list[str]) -> Lines:
        if not self._scans:
            return [["none"]]
        return [_scan_fields(self._scans.popleft())]

    async def _on_display(self, fields: list[str]) -> Lines:
        if self._show is None:
            raise ConflictError("this till has no customer display", code="no_display")
        self._show(Picture(upper=fields[0], lower=fields[1] if len(fields) > 1 else ""))
        return [[]]

    def _read(self, text: str) -> Scan:
        now_s = self._services.clock.now_ms() // 1000
        return read_scan(text, self._codes, year=datetime.fromtimestamp(now_s, UTC).year)

    def _refusal(self, error: AppError) -> Lines:
        code = error.stable_code
        findings = list(getattr(error, "findings", []))[:_FINDINGS_MAX]
        wait_s = error.retry_after_s if isinstance(error, UnavailableError) else None
        return [
            [
                "ER",
                code,
                text_of(code, self._language),
                error.pointer or "",
                "" if wait_s is None else str(max(1, round(wait_s))),
            ],
            *(["F", each.code, each.pointer or ""] for each in findings),
        ]

    def _encoded(self, lines: Lines) -> bytes:
        """Raises InputError: ``too_long``."""
        reply = encode_text(join(lines), self._charset)
        if len(reply) > REPLY_BYTES_MAX:
            raise InputError("the reply is too long for a serial line", code="too_long")
        return reply


def _scan_fields(scan: Scan) -> list[str]:
    kilograms = "" if scan.weight_milli is None else format_quantity(scan.weight_milli)
    quantity = kilograms if scan.pieces is None else str(scan.pieces)
    price = "" if scan.price_minor is None else format_minor(scan.price_minor)
    more = [scan.serial or "", scan.batch or "", scan.expires_on_date or ""]
    return [scan.kind.value, scan.code, quantity, price, *more]
