"""``price`` and ``refund``: exactly one answer a line, in order, whatever the line is."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import pytest

from rules_compiler.commands import price
from rules_compiler.commands.price import Pricer, split_members
from rules_compiler.commands.stream import answer_stream
from shared.crypto.signing import Signer
from shared.errors import InputError
from tests.unit.rules_compiler.commands.samples import COMMAND, DOCUMENT, RECEIPT, ROOT, stream
from tests.unit.rules_compiler.test_cases import unequal

CASES = ROOT / "tests" / "cases" / "engine" / "mechanics.jsonl"
PROGRAMME, SALE = json.dumps(DOCUMENT).encode(), json.dumps(RECEIPT).encode()
GOOD = b'{"programme": %b, "receipt": %b}' % (PROGRAMME, SALE)


def pricer() -> Pricer:
    return Pricer(Signer(bytes(32)), trace=False, hints=True)


def codes(answers: list[dict[str, Any]]) -> list[str]:
    return [each["error"]["code"] if "error" in each else "priced" for each in answers]


def test_every_worked_case_gets_its_answer_in_order() -> None:
    """As many lines out as in, each equal to the kopeck to what its own case states."""
    cases = [json.loads(line) for line in CASES.read_bytes().splitlines()]

    code, answers, complaints = stream("price", lines=CASES.read_bytes())

    assert (code, complaints) == (0, "")
    assert len(answers) == len(cases)
    wrong = {
        case["id"]: found
        for case, answer in zip(cases, answers, strict=True)
        if (found := unequal(case, answer))
    }
    assert wrong == {}


def test_whatever_a_line_is_the_next_is_answered() -> None:
    """Each of these is refused by its own line, and all the others are priced."""
    deep = b"[" * 100_000 + b"]" * 100_000
    wrong = [
        b"[1]",
        b"null",
        b"{",
        b"{}",
        b"\xff",
        b'{"programme": 1, "receipt": 2}',
        b'{"programme": %b, "receipt": %b}' % (PROGRAMME, b'{"store": "\xff"}'),
        b'{"programme": %b, "programme": %b, "receipt": %b}' % (PROGRAMME, PROGRAMME, SALE),
        b'{"programme": 1, "\\u0070rogramme": %b, "receipt": %b}' % (PROGRAMME, SALE),
        b'{"programme": %b, "receipt": %b, "store": "S2"}}' % (PROGRAMME, SALE[:-1]),
        b'{"programme": %b, "receipt": NaN}' % PROGRAMME,
        b'{"programme": %b, "receipt": 1}' % deep,
        b'{"programme": %b, "receipt": %b}' % (PROGRAMME, b"1" * 6_000),
        GOOD + b" x",
    ]

    lines = b"\n".join(part for each in wrong for part in (each, b"", GOOD, b"  ")) + b"\n" + GOOD
    code, answers, complaints = stream("price", lines=lines)

    assert (code, complaints) == (0, "")
    assert codes(answers)[1::2] == ["priced"] * len(wrong)
    assert "priced" not in codes(answers)[0:-1:2]
    assert codes(answers)[-1] == "priced"


def test_a_line_of_sixty_megabytes_is_answered() -> None:
    """Size alone ends nothing."""
    junk = b'{"programme": %b, "junk": "%b"}, "receipt": %b}' % (
        PROGRAMME[:-1],
        b"x" * 60_000_000,
        SALE,
    )

    code, answers, _ = stream("price", lines=junk + b"\n" + GOOD)

    assert (code, codes(answers)) == (0, ["unknown_key", "priced"])


def test_a_line_without_end_is_refused_and_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a line may have is not read into memory; the next line is answered."""
    import io

    from rules_compiler.commands import stream as streams

    monkeypatch.setattr(streams, "LINE_BYTES_MAX", 1_000)
    source, target = io.BytesIO(b"x" * 5_000 + b"\n{}\n" + b"y" * 3_000), io.BytesIO()

    code = answer_stream(source, target, lambda _: {"ok": True})

    answers = [json.loads(line) for line in target.getvalue().splitlines()]
    assert (code, len(answers)) == (0, 3)
    assert [each.get("error", {}).get("code") for each in answers] == [
        "too_large",
        None,
        "too_large",
    ]


def test_half_characters_are_answered_in_ascii() -> None:
    """A lone surrogate in a text is answered, and the answer can be read by everybody."""
    sale = json.dumps(RECEIPT | {"receipt_id": "\ud800"}).encode()

    code, answers, complaints = stream(
        "price", lines=b'{"programme": %b, "receipt": %b, "x": "\\udc00"}' % (PROGRAMME, sale)
    )

    assert (code, complaints) == (0, "")
    assert len(answers) == 1


def test_a_refusal_tells_every_finding_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    """Code, detail, pointer and findings; ``in`` says whose pointers they are."""
    of_programme = pricer().answer(
        json.dumps({"programme": DOCUMENT | {"version": "x", "y": 1}, "receipt": {}}).encode()
    )
    of_receipt = pricer().answer(
        json.dumps({"programme": DOCUMENT, "receipt": RECEIPT | {"z": 1, "lines": 5}}).encode()
    )

    assert of_programme["error"]["in"] == "programme"
    assert {each["pointer"] for each in of_programme["error"]["findings"]} == {"/version", "/y"}
    assert of_receipt["error"]["in"] == "receipt"
    assert {each["pointer"] for each in of_receipt["error"]["findings"]} == {"/lines", "/z"}
    assert capsys.readouterr().err == ""


def test_what_breaks_inside_is_answered_and_told_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line on which our own code breaks: the others are answered, the exit code is 3."""
    import io

    def answer(line: bytes) -> dict[str, Any]:
        if b"bad" in line:
            raise ZeroDivisionError
        return {"ok": True}

    target = io.BytesIO()
    code = answer_stream(io.BytesIO(b"1\nbad\n2\n"), target, answer)

    assert code == 3
    assert codes([json.loads(line) for line in target.getvalue().splitlines()]) == [
        "priced",
        "internal",
        "priced",
    ]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_programme_that_comes_again_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last programmes are kept by their exact bytes, and no more than so many."""
    compiled: list[bytes] = []

    def counting(data: bytes, *_: Any) -> Any:
        compiled.append(data)
        return compile_document(data)

    compile_document = price.compile_document
    monkeypatch.setattr(price, "compile_document", counting)
    monkeypatch.setattr(price, "PROGRAMMES_KEPT", 2)
    asked = pricer()
    lines = [
        json.dumps({"programme": DOCUMENT | {"version": version}, "receipt": RECEIPT}).encode()
        for version in (1, 2, 1, 3, 1, 2)
    ]

    answers = [asked.answer(line) for line in lines]

    assert [each["version"] for each in answers] == [1, 2, 1, 3, 1, 2]
    assert len(compiled) == 4  # 1, 2, 3, and 2 again, which had not been used for longest


def test_hints_are_given_unless_not_wanted() -> None:
    """On by default; a trace only when asked for."""
    nth = {"do": "nth", "every": 3}
    programme = DOCUMENT | {"promotions": [{"id": "third", "then": [nth]}]}
    sale = RECEIPT | {"lines": [RECEIPT["lines"][0]]}
    line = json.dumps({"programme": programme, "receipt": sale}).encode()

    _, (given,), _ = stream("price", lines=line)
    _, (bare,), _ = stream("price", "--no-hints", "--trace", lines=line)

    assert (len(given["hints"]), given["trace"]) == (1, [])
    assert (bare["hints"], len(bare["trace"])) == ([], 1)


def test_members_are_split_as_they_were_written() -> None:
    """Spaces, escapes and other members do not matter; the text of a member is kept."""
    line = b'\t{ "a\\"b" : "x" , "receipt" :  {"q": 1.50 } ,"programme":[1 , 2]} \r\n'

    assert split_members(line) == {
        'a"b': b'"x"',
        "receipt": b'{"q": 1.50 }',
        "programme": b"[1 , 2]",
    }
    # By the other reader, since half a character is too much for the first.
    assert split_members(line.replace(b'"x"', b'"\\ud800"'))["programme"] == b"[1 , 2]"


@pytest.mark.parametrize(
    "line",
    [b'{"a":1,"a":2}', b'{"a":12,"a":1}', b'{"a":{},"a":{}}', b'{"a":"\\ud800","\\u0061":1}'],
)
def test_a_key_that_stands_twice_is_refused(line: bytes) -> None:
    """By whichever reader, and whatever the first value was."""
    with pytest.raises(InputError) as caught:
        split_members(line)
    assert caught.value.stable_code == "duplicate_key"


def test_refunds_are_given_by_the_same_manners() -> None:
    """A good request, then lines that are refused, each by its own line."""
    answer = pricer().answer(GOOD)
    asked = {"answer": answer, "returned": [], "return": [{"line": 1, "qty": "1"}]}
    lines = [json.dumps(asked).encode(), b"", b"[1]", b"\xff", b"[" * 100_000, b"{}"]

    code, answers, complaints = stream("refund", lines=b"\n".join(lines))

    assert (code, complaints) == (0, "")
    assert len(answers) == 5
    assert ["error" in each for each in answers][1:] == [True] * 4


def test_a_reader_that_has_enough_ends_it_quietly() -> None:
    """``| head`` closes the pipe: no stack trace."""
    with (
        CASES.open("rb") as cases,
        subprocess.Popen(
            [*COMMAND, "price"],
            stdin=cases,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        complaints = process.stderr.read()

    assert (process.returncode, complaints) == (0, b"")


@pytest.mark.parametrize("command", ["price", "refund"])
def test_control_c_ends_it_quietly(command: str) -> None:
    """What was answered stays; no stack trace, and the exit code of an interrupt."""
    with subprocess.Popen(
        [*COMMAND, command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"{}\n")
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=30)
        complaints = process.stderr.read()

    assert "error" in json.loads(first)
    assert (code, complaints) == (130, b"")


def test_a_stream_is_flushed_line_by_line() -> None:
    """A program that waits for each answer before it asks again gets it."""
    with subprocess.Popen(
        [*COMMAND, "price"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            process.stdin.write(GOOD + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["receipt_id"] == "r-1"
        process.stdin.close()
        assert process.wait(timeout=30) == 0
