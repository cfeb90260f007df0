"""The parser against real mail of others: every message parses, text and files agree with what others read there.

The data lies beside the clone and is not ours to copy; without it these tests are skipped. Where we differ from Apache
James mime4j, `DIFFERENCES` says why, file by file, and the test holds that we still differ there.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.intake.mail.html_text import html_to_text
from orchestrator.intake.mail.limits import DEFAULT_LIMITS
from orchestrator.intake.mail.parse import parse_message
from orchestrator.intake.mail.parsed import MailFlag, ParsedMail, SectionKind

DATA = Path(os.environ.get("FERNWART_TEST_MAIL_DATA", Path(__file__).resolve().parents[4] / "shared" / "data" / "mail"))
MESSAGES = DATA / "james-mime4j" / "core" / "src" / "test" / "resources"
TALON = DATA / "talon" / "tests" / "fixtures"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the example mails are not there ({DATA})")

DIFFERENCES = {
    "mimetools-testmsgs/sig-uu.msg": "a uuencoded file in the text becomes an attachment, its name stays in the text",
    "mimetools-testmsgs/uu-junk.msg": "a uuencoded file in the text becomes an attachment, its name stays in the text",
    "mimetools-testmsgs/uu-zeegee.msg": "a uuencoded file in the text becomes an attachment, its name stays in the text",
    "mimetools-testmsgs/frag.msg": "base64 cut off in the middle: we keep the last two bytes that can be read, mime4j drops them",
    "mimetools-testmsgs/multi-frag.msg": "base64 with a broken boundary in it: we keep the last two bytes that can be read",
    "testmsgs/malformedHeaderStartsBody-nocrlfcrlf.msg": "expected with mime4j's option that a broken header line starts the "
    "body; we drop a broken line between two fields, as mime4j's own default does (malformedHeader-nocrlfcrlf)",
}


def all_messages() -> list[str]:
    return sorted(path.relative_to(MESSAGES).as_posix() for path in MESSAGES.glob("*/*.msg"))


def squeeze(data: bytes) -> bytes:
    return re.sub(rb"\s+", b" ", data).strip()


def walk(mail: ParsedMail, depth: int = 0) -> Iterator[ParsedMail]:
    """Give a mail and the mails attached to it."""
    yield mail
    for file in mail.attachments:
        if file.content_type == "message/rfc822" and depth < 10:
            yield from walk(parse_message(file.data), depth + 1)


def is_found(expected: bytes, mails: list[ParsedMail]) -> bool:
    wanted = squeeze(expected)
    if not wanted:
        return True
    if any(squeeze(file.data) == wanted for mail in mails for file in mail.attachments):
        return True
    texts = [squeeze(mail.text.encode()) for mail in mails]
    pages = [squeeze(html_to_text(mail.html, limits=DEFAULT_LIMITS).encode()) for mail in mails]
    for charset in ("utf-8", "iso8859-15", "koi8-r", "iso8859-8"):
        try:
            text = expected.decode(charset)
        except UnicodeDecodeError:
            continue
        if any(squeeze(text.encode()) in found for found in texts):
            return True
        plain = html_to_text(text, limits=DEFAULT_LIMITS)
        if "<" in text and any(squeeze(plain.encode()) in found for found in [*texts, *pages]):
            return True
    return False


def missing_parts(name: str) -> list[str]:
    path = MESSAGES / name
    mails = list(walk(parse_message(path.read_bytes())))
    structure = (MESSAGES / name.replace(".msg", "_decoded.xml")).read_text("latin-1")
    expected = re.findall(r'<(?:text|binary)-body name="([^"]+)"', structure)
    return [part for part in expected if not is_found((path.parent / part).read_bytes(), mails)]


@pytest.mark.parametrize("name", all_messages())
def test_text_and_files_agree_with_mime4j(name: str) -> None:
    missing = missing_parts(name)
    if name in DIFFERENCES:
        assert missing, f"{name} agrees now: take it out of DIFFERENCES"
    else:
        assert not missing


def test_the_example_messages_are_all_there() -> None:
    assert len(all_messages()) == 80
    assert set(DIFFERENCES) <= set(all_messages())


@pytest.mark.parametrize("name", all_messages())
def test_every_message_parses_and_its_sections_give_its_text(name: str) -> None:
    mail = parse_message((MESSAGES / name).read_bytes())
    assert MailFlag.PARSE_FAILED not in mail.flags
    assert "".join(section.text for section in mail.sections) == mail.text
    for file in mail.attachments:
        assert file.name
        assert "/" not in file.name
        assert "\\" not in file.name


STANDARD_REPLIES = {
    "sparrow.eml": "sparrow_reply_text",
    "iphone.eml": "iphone_reply_text",
}


@pytest.mark.parametrize("name", sorted(path.name for path in TALON.glob("standard_replies/*.eml")))
def test_replies_of_real_clients_give_their_new_text(name: str) -> None:
    """Talon leaves the signature in the reply; we cut it off as a section of its own, so both together must agree."""
    mail = parse_message((TALON / "standard_replies" / name).read_bytes())
    expected = (TALON / "standard_replies" / STANDARD_REPLIES[name]).read_text() if name in STANDARD_REPLIES else "Hello"
    reply = "".join(section.text for section in mail.sections if section.kind is not SectionKind.QUOTED)
    assert reply.split() == expected.split()
    assert mail.new_text == "Hello"


@pytest.mark.parametrize("name", sorted(path.name for path in TALON.glob("html_replies/*.html")))
def test_html_replies_of_real_clients_give_their_new_text(name: str) -> None:
    page = (TALON / "html_replies" / name).read_bytes()
    mail = parse_message(b"From: a@example.org\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page)
    reply = "".join(section.text for section in mail.sections if section.kind is not SectionKind.QUOTED)
    assert reply.split() == ["Hi.", "I", "am", "fine.", "Thanks,", "Alex"]


def test_a_quote_in_outlooks_body_section_is_cut_off() -> None:
    page = (TALON / "OLK_SRC_BODY_SECTION.html").read_bytes()
    mail = parse_message(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + page)
    assert mail.new_text.split() == ["Reply"]


def test_a_quote_after_a_rule_is_cut_off() -> None:
    page = (TALON / "reply-separated-by-hr.html").read_bytes()
    mail = parse_message(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + page)
    assert mail.new_text.split()[:3] == ["Hi", "there", "Bob"]
    assert "Friday" not in mail.new_text


def test_a_reply_that_shares_a_block_with_its_quote_gives_its_new_text() -> None:
    mail = parse_message((TALON / "reply-quotations-share-block.eml").read_bytes())
    assert mail.new_text.startswith("Hi Katharine.")
    assert "New Booking Inquiry" not in mail.new_text
    assert "New Booking Inquiry" in mail.text


@pytest.mark.parametrize("path", sorted(path for path in DATA.rglob("*") if path.is_file()), ids=lambda path: path.name)
def test_any_file_at_all_parses_as_mail(path: Path) -> None:
    """Pictures, XML, decoded parts: nothing makes the parser raise or lose its invariants."""
    mail = parse_message(path.read_bytes())
    assert MailFlag.PARSE_FAILED not in mail.flags
    assert "".join(section.text for section in mail.sections) == mail.text
