"""Mails made to hurt: bounded time and memory, no pattern that backtracks, nothing that raises."""

# tables of mails read better with one case on one line

import importlib
import json
import pkgutil
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orchestrator.intake.mail as mail_package
from orchestrator.intake.mail.html import sanitise_html
from orchestrator.intake.mail.html_text import html_to_text
from orchestrator.intake.mail.limits import DEFAULT_LIMITS
from orchestrator.intake.mail.parse import parse_message
from orchestrator.intake.mail.parsed import MailFlag, ParsedMail
from orchestrator.intake.mail.replies import split_sections
from tests.intake.mail import samples

CPU_SECONDS = 5
MEMORY_BYTES = 1024 * 1024 * 1024
REGEX_SECONDS = 0.05

PROBE = """
import json, resource, sys
from orchestrator.intake.mail.masking import mask_tokens
from orchestrator.intake.mail.parse import parse_message
raw = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF)
mail = parse_message(mask_tokens(raw, public_url="https://support.example.de").raw)
after = resource.getrusage(resource.RUSAGE_SELF)
used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps({"cpu": used, "flags": sorted(mail.flags), "size": mail.size}))
"""


@pytest.mark.parametrize("name", sorted(samples.hostile_mails()))
def test_hostile_mail_stays_within_time_and_memory(name: str) -> None:
    """A process of its own with hard limits: the kernel ends it when the parser takes more."""
    raw = samples.hostile_mails()[name]()
    done = subprocess.run(
        ["prlimit", f"--as={MEMORY_BYTES}", f"--cpu={4 * CPU_SECONDS}", sys.executable, "-c", PROBE],
        input=raw,
        capture_output=True,
        timeout=90,
        cwd=Path(__file__).resolve().parents[3],
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    told = json.loads(done.stdout)
    assert told["cpu"] < CPU_SECONDS
    assert told["size"] == len(raw)
    assert MailFlag.PARSE_FAILED not in told["flags"]


def all_patterns() -> list[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    """Every compiled pattern of mail intake, by its name."""
    found: list[tuple[str, re.Pattern[str] | re.Pattern[bytes]]] = []
    for info in pkgutil.iter_modules(mail_package.__path__):
        module = importlib.import_module(f"orchestrator.intake.mail.{info.name}")
        found += [(f"{info.name}.{name}", value) for name, value in vars(module).items() if isinstance(value, re.Pattern)]
    return found


SEEDS = [
    "a", " ", "\t", "\n", "\r\n", ">", "> ", "<", "-", "--", "_", "*", "=", "=?", "=?a?q?", "=?utf-8?q?a?= ", "?", '"', '="', "'", "&#9", "&#x",
    "0", "1.1.", "5.1.1 ", "550 ", "550-", "a@", "@", "a@b.de ", "a.", ".", ":", "a:", "Von: ", "From: x\n", "Sent:\n", "Am 1. ", "On 1 ",
    "schrieb ", "wrote ", "wrote a ", "geschrieben ", "Mit freundlichen ", "freundliche ", "mfg ", "gesendet ", "von meinem a ", "begin 644 a\n",
    "Message-ID: <", "Message-ID: \n", "Subject: ", "Content-Type:", "a-", "a/", "a=", "a*0*", "*1", "(", ")", "[", "multipart/", "\\", "%41",
    "/consent/", "consent/a", "%2Fconsent%2F", "=\r\n", "=\n", "https://", "http://a/", "login/link/", "set-up/", "x=3D", "\u202e", "\x00", "ß",
    "AAAA", "AAAA\n", "QUJD" * 19 + "\r\n", "2026-000123-4", "2026-", "[#", "[#2026-000123-4] ", "support+", "+2026",
]  # fmt: skip


@pytest.mark.parametrize("pattern", [pytest.param(pattern, id=name) for name, pattern in all_patterns()])
def test_no_pattern_backtracks_on_a_hundred_kilobytes(pattern: re.Pattern[str] | re.Pattern[bytes]) -> None:
    slow: list[tuple[str, float]] = []
    for seed in SEEDS:
        text = (seed * (100_000 // len(seed) + 1))[:100_000] + "\x01"
        subject = text.encode("utf-8") if isinstance(pattern.pattern, bytes) else text
        used = timed_search(pattern, subject)
        if used > REGEX_SECONDS:
            # A busy machine may have slowed one measurement: the best of three counts.
            used = min(used, timed_search(pattern, subject), timed_search(pattern, subject))
        if used > REGEX_SECONDS:
            slow.append((seed, used))
    assert not slow


def timed_search(pattern: re.Pattern[str] | re.Pattern[bytes], subject: str | bytes) -> float:
    started = time.process_time()
    pattern.search(subject)  # type: ignore[call-overload]  # text with text, bytes with bytes
    pattern.match(subject)  # type: ignore[call-overload]
    return (time.process_time() - started) / 2


def check(mail: ParsedMail) -> None:
    assert MailFlag.PARSE_FAILED not in mail.flags
    assert "".join(section.text for section in mail.sections) == mail.text
    shown = [mail.subject, mail.text, mail.html, *(value for _, value in mail.headers), *(file.name for file in mail.attachments)]
    for text in shown:
        text.encode("utf-8")
        assert "\0" not in text
    for file in mail.attachments:
        assert file.name
        assert file.size == len(file.data)


PIECES = st.sampled_from([
    b"From: ", b"To: ", b"Subject: ", b"Date: ", b"Content-Type: ", b"Content-Transfer-Encoding: ", b"Content-Disposition: ", b"Message-ID: ",
    b"References: ", b"Return-Path: <>", b"multipart/mixed; boundary=", b"multipart/alternative; boundary=x", b"multipart/report; boundary=x",
    b"text/html; charset=utf-8", b"text/plain; charset=utf-7", b"text/plain; charset=utf-16", b"message/rfc822", b"message/delivery-status",
    b"application/ms-tnef; name=winmail.dat", b"\x78\x9f\x3e\x22\x01\x00", b"base64", b"quoted-printable", b"x-uuencode", b"format=flowed",
    b"--x", b"--x--", b"--", b"x", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"=", b"=?utf-8?B?", b"=?x?q?", b"?=", b"<", b">", b'"', b"'",
    b";", b":", b"*0*=", b"filename*=utf-8''%C3", b"a@b.de", b"\xff", b"\xc3\xbc", b"\x00", b"begin 644 a\n", b"end\n", b"<div>", b"</div>",
    b"<blockquote>", b"<a href='", b"<!--", b"<img src=cid:x>", b"&#x110000;", b"&#0;", b"> ", b"-- \n", b"Am 1.1.2026 schrieb a@b.de:\n",
    b"Von: a\nGesendet: b\nAn: c\n", b"Mit freundlichen Gr\xfc\xdfen\nA\n", b"Status: 5.1.1\n", b"Action: failed\n", b"Final-Recipient: rfc822;",
    b"X-Failed-Recipients: ", b"Mon, 2 Feb 2026 10:00:00 +0100", b"31.12.0000", b"99999999999999999999",
])  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=60).map(b"".join))
def test_anything_parses(raw: bytes) -> None:
    check(parse_message(raw))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([
        samples.german_outlook(), samples.apple_mail(), samples.bounce_report(), samples.winmail(), samples.fax_gateway(), samples.german_bounce(),
    ]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=6)), min_size=1, max_size=8),
)  # fmt: skip
def test_damaged_mails_parse(raw: bytes, damages: list[tuple[float, int, bytes]]) -> None:
    for where, cut, inserted in damages:
        position = int(where * len(raw))
        raw = raw[:position] + inserted + raw[position + cut :]
    check(parse_message(raw))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("> -_:\nAVon:Gesendet:An:schrieb1.@MfGTel")), max_size=400))
def test_sections_always_give_the_text_back(text: str) -> None:
    assert "".join(section.text for section in split_sections(text)) == text


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["<b>", "</b>", "<p", ">", "<a href='x'", '="', "<!--", "-->", "&#", "&amp;", "x", " ", "<script>", "<pre>", "\n"])))
def test_pages_are_cleaned_whatever_they_hold(pieces: list[str]) -> None:
    page = "".join(pieces)
    html_to_text(page, limits=DEFAULT_LIMITS)
    cleaned = sanitise_html(page, limits=DEFAULT_LIMITS)
    assert cleaned is None or "<script" not in cleaned.html


def test_same_bytes_give_the_same_answer() -> None:
    assert parse_message(samples.german_outlook()) == parse_message(samples.german_outlook())
