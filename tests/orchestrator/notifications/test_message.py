"""Making the bytes of a mail: flowed text, headers, odd names."""

from __future__ import annotations

from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.notifications.message import AttachedFile, build_message, flow_text
from orchestrator.notifications.models import OutgoingMail

MOMENT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _mail(**values: object) -> OutgoingMail:
    plain = {"id": "x", "purpose": "test", "to_address": "a@muster.example", "to_name": "", "cc": [], "subject": "s", "text": "t",
             "headers": {}, "attachment_ids": [], "message_id": "<fw.x@desk.example>", "in_reply_to": "", "references": "", "automatic": False}
    return OutgoingMail(**{**plain, **values})


def _sent(mail: OutgoingMail, secrets: dict[str, str] | None = None, files: tuple[AttachedFile, ...] = ()) -> Any:
    built = build_message(mail, sender_name="Müller & Söhne, Support", sender_address="support@desk.example", date=MOMENT,
                          secrets=secrets or {}, files=files)
    return BytesParser(policy=default).parsebytes(built.as_bytes(policy=built.policy.clone(linesep="\r\n")))


def _unflow(text: str) -> str:
    """Put flowed lines together again as RFC 3676 says, apart from our own code."""
    out: list[str] = []
    joining = False
    for line in text.rstrip("\n").split("\n"):
        bare = line[1:] if line.startswith(" ") else line
        if joining:
            out[-1] += bare
        else:
            out.append(bare)
        joining = bare.endswith(" ") and bare != "-- "
    return "\n".join(out)


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=400)


@given(LINES)
def test_flowed_text_can_be_put_together_again(text: str) -> None:
    wanted = [line if line == "-- " else line.rstrip() for line in text.rstrip("\n").split("\n")]
    back = _unflow(flow_text(text)).split("\n")
    assert ["".join(line.split()) for line in back] == ["".join(line.split()) for line in "\n".join(wanted).rstrip("\n").split("\n")]


def test_a_long_paragraph_flows_and_comes_back_the_same() -> None:
    paragraph = "Bitte starten Sie den Druckdienst neu und melden Sie sich, wenn die Warteschlange danach noch immer steht. " * 5
    flowed = flow_text(paragraph)
    assert max(len(line) for line in flowed.splitlines()) <= 78
    assert _unflow(flowed) == paragraph.rstrip()


def test_links_are_never_broken() -> None:
    link = "https://desk.example/consent/" + "x" * 120
    assert link in flow_text(f"Hier: {link}\nEnde").splitlines()


def test_signature_quotes_and_from_lines_are_kept_apart() -> None:
    assert flow_text("From here\n> zitiert\n  eingerückt\n-- \nJana") == " From here\n > zitiert\n   eingerückt\n-- \nJana\n"


@pytest.mark.parametrize("name", ["Müller, Jörg", 'Jörg "der Drucker" Müller', "=?utf-8?q?x?=", "a <b@c>", "x" * 200, "山田"])
def test_odd_names_arrive_whole_and_change_no_address(name: str) -> None:
    message = _sent(_mail(to_name=name))
    assert message["To"].addresses[0].addr_spec == "a@muster.example"
    assert len(message["To"].addresses) == 1
    if not name.startswith("=?"):
        assert message["To"].addresses[0].display_name == name


@pytest.mark.parametrize("address", ["foo.@muster.example", "a..b@muster.example", "o'neil+x@muster.example", "jörg@muster.example"])
def test_odd_addresses_can_be_written_to(address: str) -> None:
    message = _sent(_mail(to_address=address))
    read = message["To"].addresses[0].addr_spec.encode("utf-8", "surrogateescape").decode()
    assert read.replace('"', "") == address


def test_secrets_go_into_their_places() -> None:
    message = _sent(_mail(text="Link:\n\n{link}\n\nCode: {code} {other}"), {"link": "https://x/abc", "code": "123456"})
    body = message.get_body()
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == "Link:\n\nhttps://x/abc\n\nCode: 123456 {other}\n"


def test_thread_headers_are_set_and_long_references_are_folded() -> None:
    references = " ".join(f"<{index}.{'x' * 60}@muster.example>" for index in range(12))
    message = _sent(_mail(in_reply_to="<last@muster.example>", references=references, automatic=True))
    assert message["In-Reply-To"] == "<last@muster.example>"
    assert message["References"].split() == references.split()
    assert message["Auto-Submitted"] == "auto-replied"


def test_files_keep_names_and_bytes() -> None:
    files = (AttachedFile("Prüfbericht – März.pdf", "application/pdf", b"\x00\xff" * 3000), AttachedFile("x", "nonsense", b""),
             AttachedFile("t.txt", "text/plain", "ä\n".encode("latin-1")))
    message = _sent(_mail(), files=files)
    arrived = [(part.get_filename(), part.get_payload(decode=True)) for part in message.iter_attachments()]
    assert arrived == [(one.name, one.data) for one in files]
