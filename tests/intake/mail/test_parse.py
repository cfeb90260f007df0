"""Own odd mails: what the parser must read in them."""

# tables of mails read better with one case on one line

import hashlib
from datetime import UTC, datetime

import pytest

from orchestrator.intake.mail.limits import DEFAULT_LIMITS
from orchestrator.intake.mail.parse import parse_message
from orchestrator.intake.mail.parsed import AutomaticKind, BounceClass, MailFlag, Protection, SectionKind
from tests.intake.mail import samples


def section(mail_sections: tuple[object, ...], kind: SectionKind) -> str:
    return "".join(part.text for part in mail_sections if part.kind is kind)  # type: ignore[attr-defined]  # sections only


def test_german_outlook_reply_is_read_in_full() -> None:
    mail = parse_message(samples.german_outlook())
    assert mail.from_address is not None
    assert (mail.from_address.name, mail.from_address.address) == ("Müller, Erika", "erika@example.de")
    assert mail.subject == "AW: [#2026-000123-4] Drucker für Büro"
    assert mail.sent_at == datetime(2026, 2, 2, 8, 30, tzinfo=UTC)
    assert mail.in_reply_to == ("t1.abc@fernwart.example",)
    assert mail.references == ("t0.abc@fernwart.example", "t1.abc@fernwart.example")
    assert mail.new_text == "Guten Tag,\n\nder Drucker geht immer noch nicht."
    assert section(mail.sections, SectionKind.SIGNATURE).startswith("Mit freundlichen Grüßen\nErika Beispiel")
    assert "Bitte starten Sie den Drucker neu." in section(mail.sections, SectionKind.QUOTED)
    assert "Bitte starten Sie" in mail.text
    assert mail.language == "de"
    assert MailFlag.CHARSET_GUESSED not in mail.flags


def test_inline_picture_of_outlook_stays_in_the_page_and_is_an_inline_file() -> None:
    mail = parse_message(samples.german_outlook())
    (picture,) = mail.attachments
    assert picture.inline
    assert picture.content_id == "image001.png@01DC9400.12345670"
    assert picture.sha256 == hashlib.sha256(samples.PNG).hexdigest()
    assert 'src="cid:image001.png@01DC9400.12345670"' in mail.html
    assert "MsoNormal{" not in mail.html


def test_reply_from_a_phone_loses_neither_its_text_nor_its_signature() -> None:
    mail = parse_message(samples.gmx_phone())
    assert mail.new_text == "Ja, morgen um 9 Uhr passt es mir gut."
    assert "Android Mobiltelefon" in section(mail.sections, SectionKind.SIGNATURE)
    quoted = section(mail.sections, SectionKind.QUOTED)
    assert quoted.startswith("Am 02.02.26, 17:12 schrieb Support")
    assert "aufschalten" in quoted


def test_raw_latin_1_in_header_and_body_is_guessed_and_marked() -> None:
    mail = parse_message(samples.t_online())
    assert mail.subject == "Störung Telefonanlage"
    assert mail.from_address is not None
    assert mail.from_address.name == "Jürgen Größe"
    assert mail.new_text.startswith("Hallo, unsere Telefonanlage läuft nicht mehr.")
    assert "Update eingespielt" not in mail.new_text
    assert mail.sent_at == datetime(2026, 2, 2, 10, 0, tzinfo=UTC)
    assert MailFlag.CHARSET_GUESSED in mail.flags
    assert mail.language == "de"


def test_apple_mail_joins_its_texts_and_decodes_its_file_name() -> None:
    mail = parse_message(samples.apple_mail())
    assert mail.subject == "Rechnung für März €"
    assert "Anbei die Rechnung, die beim Öffnen abstürzt." in mail.text
    assert "Danke und Gruß" in mail.text
    (file,) = mail.attachments
    assert file.name == "Rechnung März 2026.pdf"
    assert file.data == samples.PDF
    assert file.size == len(samples.PDF)


def test_fax_gateway_mail_gives_number_and_picture_under_a_harmless_name() -> None:
    mail = parse_message(samples.fax_gateway())
    assert mail.from_address is not None
    assert mail.from_address.address == "fax.+49301234567@fax.gateway.example"
    assert mail.subject == "Fax von +49 30 1234567 (3 Seiten)"
    assert "Fax empfangen für Anschluß Büro" in mail.text
    (page,) = mail.attachments
    assert page.name == "20260202101500.tif"
    assert page.content_type == "image/tiff"
    assert mail.sent_at == datetime(2026, 2, 2, 10, 15, tzinfo=UTC)
    assert MailFlag.DATE_ODD in mail.flags


def test_telephone_system_mail_without_sender_is_read() -> None:
    mail = parse_message(samples.phone_system())
    assert MailFlag.FROM_MISSING in mail.flags
    assert mail.message_id is None
    assert "Anrufer: 030 1234567" in mail.text
    assert mail.attachments[0].name == "nachricht.wav"
    assert mail.automatic is AutomaticKind.GENERATED


@pytest.mark.parametrize(
    ("status", "action", "expected"),
    [
        ("5.1.1", "failed", BounceClass.PERMANENT),
        ("4.2.2", "delayed", BounceClass.TEMPORARY),
        ("4.4.7", "failed", BounceClass.TEMPORARY),
        ("2.1.5", "delivered", BounceClass.NONE),
    ],
)
def test_delivery_report_is_classed_by_its_status(status: str, action: str, expected: BounceClass) -> None:
    mail = parse_message(samples.bounce_report(status=status, action=action))
    assert mail.bounce.bounce_class is expected
    if expected is not BounceClass.NONE:
        assert mail.bounce.failed_recipients == ("weg@example.de",)
        assert mail.bounce.original_message_id == "t1.abc@fernwart.example"
        assert mail.bounce.original_subject == "[#2026-000123-4] Drucker"
    assert mail.return_path == ""


def test_free_text_bounce_of_a_german_provider_is_recognised() -> None:
    bounce = parse_message(samples.german_bounce()).bounce
    assert bounce.bounce_class is BounceClass.PERMANENT
    assert bounce.status == "5.1.1"
    assert bounce.failed_recipients == ("weg@gmx.de",)
    assert bounce.original_message_id == "t9.xyz@fernwart.example"


@pytest.mark.parametrize(
    ("subject", "sender", "text", "expected"),
    [
        ("Undeliverable: Drucker", "postmaster@example.de", "Your message to a@b.de couldn't be delivered. 550 5.7.1", BounceClass.PERMANENT),
        ("Delivery delayed: Drucker", "postmaster@example.de", "Delivery is delayed to these recipients. 400 4.4.7", BounceClass.TEMPORARY),
        ("Unzustellbar: Drucker", "MAILER-DAEMON@example.de", "Das Postfach ist voll: a@b.de", BounceClass.TEMPORARY),
        ("failure notice", "MAILER-DAEMON@yahoo.com", "Sorry, we were unable to deliver your message. <a@b.de>: 554 delivery error", BounceClass.PERMANENT),
        ("Mail konnte nicht zugestellt werden?", "erika@example.de", "Ich bekomme immer 550 5.1.1 zurück", BounceClass.NONE),
    ],
)  # fmt: skip
def test_free_text_bounces_need_a_daemon_as_sender(subject: str, sender: str, text: str, expected: BounceClass) -> None:
    assert parse_message(samples.simple(text, subject=subject, sender=sender)).bounce.bounce_class is expected


def test_files_of_winmail_dat_are_unpacked_and_it_stays() -> None:
    mail = parse_message(samples.winmail())
    assert [file.name for file in mail.attachments] == ["winmail.dat", "Angebot für Büro.pdf"]
    assert mail.attachments[1].data == samples.PDF
    assert MailFlag.TNEF in mail.flags


def test_absence_note_is_an_automatic_reply() -> None:
    assert parse_message(samples.out_of_office()).automatic is AutomaticKind.REPLIED


@pytest.mark.parametrize(
    ("extra", "subject", "automatic", "is_list"),
    [
        ("", "Frage", AutomaticKind.NONE, False),
        ("Auto-Submitted: no\n", "Frage", AutomaticKind.NONE, False),
        ("Auto-Submitted: auto-replied (vacation)\n", "Frage", AutomaticKind.REPLIED, False),
        ("Auto-Submitted: auto-notified; owner-email=\"x\"\n", "Frage", AutomaticKind.GENERATED, False),
        ("Precedence: auto_reply\n", "Frage", AutomaticKind.REPLIED, False),
        ("", "Abwesenheitsnotiz: Drucker", AutomaticKind.REPLIED, False),
        ("", "Out of office: printer", AutomaticKind.REPLIED, False),
        ("Precedence: bulk\n", "Angebote", AutomaticKind.NONE, True),
        ("List-Id: <l.example.org>\n", "Rundbrief", AutomaticKind.NONE, True),
        ("List-Unsubscribe: <mailto:x@example.org>\n", "Rundbrief", AutomaticKind.NONE, True),
    ],
)  # fmt: skip
def test_automatic_and_list_mail_are_recognised(extra: str, subject: str, automatic: AutomaticKind, is_list: bool) -> None:
    mail = parse_message(samples.simple(subject=subject, extra=extra))
    assert (mail.automatic, mail.is_list_mail) == (automatic, is_list)


def test_invitation_keeps_text_and_names_its_method() -> None:
    mail = parse_message(samples.invitation())
    assert mail.calendar_method == "request"
    assert mail.text.strip() == "Wir treffen uns um zehn Uhr."
    assert [file.content_type for file in mail.attachments] == ["text/calendar"]


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ('multipart/signed; protocol="application/pkcs7-signature"; boundary=s', "--s\n\nHallo\n--s\nContent-Type: application/pkcs7-signature; name=smime.p7s\n\nx\n--s--", Protection.SIGNED_SMIME),
        ('multipart/signed; protocol="application/pgp-signature"; boundary=s', "--s\n\nHallo\n--s\nContent-Type: application/pgp-signature\n\nx\n--s--", Protection.SIGNED_PGP),
        ('multipart/encrypted; protocol="application/pgp-encrypted"; boundary=s', "--s\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--s\nContent-Type: application/octet-stream; name=encrypted.asc\n\nx\n--s--", Protection.ENCRYPTED_PGP),
        ("application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", "x", Protection.ENCRYPTED_SMIME),
        ("application/x-pkcs7-mime; smime-type=signed-data; name=smime.p7m", "x", Protection.SIGNED_SMIME),
        ("text/plain", "-----BEGIN PGP MESSAGE-----\n\nabc\n-----END PGP MESSAGE-----", Protection.ENCRYPTED_PGP),
        ("text/plain", "Hallo", Protection.NONE),
    ],
)  # fmt: skip
def test_signed_and_encrypted_mail_is_recognised_and_kept_whole(content_type: str, body: str, expected: Protection) -> None:
    mail = parse_message(samples.crlf(f"From: a@example.de\nMIME-Version: 1.0\nContent-Type: {content_type}\n\n{body}\n"))
    assert mail.protection is expected
    if "application/pkcs7-mime" in content_type:
        assert mail.attachments[0].data.strip() == b"x"


def test_script_form_and_remote_pictures_do_not_survive() -> None:
    page = (
        '<p onclick="x()">Hallo <script>alert(1)</script><img src="https://tracker.example/p.gif" alt="Bild"><img src=cid:a@b>'
        '<a href="javascript:alert(1)">böse</a> <a href="https://ok.example/x">gut</a><form action="/x"><input name=a></form>'
        '<style>p{background:url(https://x)}</style><svg onload=alert(1)></svg><iframe src="//x"></iframe>'
        '<base href="https://evil"><meta http-equiv=refresh content="0;url=https://evil"><b style="background:url(//x)">fett</b></p>'
    )
    mail = parse_message(samples.crlf("From: a@example.de\nContent-Type: text/html; charset=utf-8\n\n" + page))
    for forbidden in (
        "script",
        "alert",
        "onclick",
        "tracker",
        "javascript",
        "<form",
        "<input",
        "url(",
        "<svg",
        "iframe",
        "<base",
        "<meta",
        "style",
    ):
        assert forbidden not in mail.html
    assert 'src="cid:a@b"' in mail.html
    assert 'href="https://ok.example/x"' in mail.html
    assert 'rel="noopener noreferrer nofollow"' in mail.html
    assert MailFlag.HTML_REMOTE_BLOCKED in mail.flags
    assert MailFlag.TEXT_FROM_HTML in mail.flags
    assert mail.text.startswith("Hallo [Bild]")


def test_mail_without_any_header_is_all_text() -> None:
    mail = parse_message(b"Der Server ist aus.\r\nBitte kommen.\r\n")
    assert mail.text == "Der Server ist aus.\nBitte kommen.\n"
    assert MailFlag.FROM_MISSING in mail.flags


@pytest.mark.parametrize("raw", [b"", b"\r\n", b"\n\n\n", b"\0", b"\xff\xfe", b":", b" ", b"From:", b"From: \r\n\r\n"])
def test_almost_empty_mails_parse(raw: bytes) -> None:
    mail = parse_message(raw)
    assert mail.from_address is None
    assert mail.attachments == ()
    assert MailFlag.PARSE_FAILED not in mail.flags


def test_nul_bytes_do_not_reach_the_text() -> None:
    mail = parse_message(b"From: a@b.de\r\nSubject: a\0b\r\n\r\nHallo\0Welt\r\n")
    assert mail.subject == "ab"
    assert mail.text.strip() == "HalloWelt"
    assert MailFlag.NUL_BYTES in mail.flags


def test_utf_7_is_text_and_its_markup_is_harmless() -> None:
    mail = parse_message(b"From: a@b.de\r\nContent-Type: text/html; charset=utf-7\r\n\r\n+ADw-script+AD4-alert(1)+ADw-/script+AD4-Hallo")
    assert "script" not in mail.html
    assert "Hallo" in mail.text


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("=?utf-8?B?RHJ1Y2tlciBmw7xy?= =?utf-8?B?IELDvHJv?=", "Drucker für Büro"),
        ("=?UTF-8?Q?Gr=C3=BC=C3=9Fe?= an alle", "Grüße an alle"),
        ("=?utf-8?Q?geteilt=C3?= =?utf-8?Q?=BC?=", "geteiltü"),
        ("=?x-unbekannt?Q?Gr=FC=DFe?=", "Grüße"),
        ("=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?utf-8?B?kaputt", "=?utf-8?B?kaputt"),
        ("=?utf-8?B?!!!!?=", ""),
        ("=?utf-8?Q?mit Leerzeichen?=", "mit Leerzeichen"),
        ("=?utf-8?Q?=0D=0ABcc:_x@y?=", "Bcc: x@y"),
        ("eins\n  zwei\n\tdrei", "eins zwei drei"),
    ],
)
def test_subjects_are_decoded(header: str, expected: str) -> None:
    mail = parse_message(samples.crlf(f"From: a@b.de\nSubject: {header}\n\nx"))
    assert mail.subject == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("a@b.de", [("", "a@b.de")]),
        ("<a@B.DE>", [("", "a@b.de")]),
        ('"Müller, Erika" <a@b.de>, c@d.de', [("Müller, Erika", "a@b.de"), ("", "c@d.de")]),
        ("a@b.de (Erika Beispiel)", [("Erika Beispiel", "a@b.de")]),
        ("undisclosed-recipients:;", []),
        ("Gruppe: a@b.de, c@d.de;", [("", "a@b.de"), ("", "c@d.de")]),
        ("'a@b.de' <a@b.de>", [("a@b.de", "a@b.de")]),
        ("Erika Beispiel a@b.de", [("Erika Beispiel", "a@b.de")]),
        ("Erika [mailto:a@b.de]", [("Erika", "a@b.de")]),
        ("a@b.de <a@b.de", [("a@b.de", "a@b.de")]),
        ("<<a@b.de>>", [("", "a@b.de")]),
        ("nur ein Name", [("nur ein Name", "")]),
        ('=?utf-8?Q?"L=C3=B6we,_A."?= <a@b.de>', [("Löwe, A.", "a@b.de")]),
        ("a@b.de; c@d.de", [("", "a@b.de"), ("", "c@d.de")]),
        ("<@relay.example:a@b.de>", [("", "a@b.de")]),
        ('"\\"Spitz\\"" <a@b.de>', [("Spitz", "a@b.de")]),
    ],
)
def test_addresses_are_read_however_written(header: str, expected: list[tuple[str, str]]) -> None:
    mail = parse_message(samples.crlf(f"From: x@y.de\nTo: {header}\n\nx"))
    assert [(address.name, address.address) for address in mail.to] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Mon, 2 Feb 2026 10:00:00 +0100", "2026-02-02T09:00:00+00:00"),
        ("2 Feb 26 10:00 EST", "2026-02-02T15:00:00+00:00"),
        ("Montag, 2. Februar 2026 10:00", "2026-02-02T10:00:00+00:00"),
        ("02.02.2026 10:00:00", "2026-02-02T10:00:00+00:00"),
        ("2026-02-02T10:00:00Z", "2026-02-02T10:00:00+00:00"),
        ("Mo, 02 Mrz 2026 10:00:00 +0100 (MEZ)", "2026-03-02T09:00:00+00:00"),
        ("Mon Feb  2 10:00:00 2026", "2026-02-02T10:00:00+00:00"),
        ("Thu, 01 Jan 1970 00:00:00 -2400", None),
        ("Mon, 99 Feb 2026 10:00:00 +0100", None),
        ("gestern", None),
        ("Mon, 2 Feb 9999999 10:00:00 +0100", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
    ],
)
def test_dates_are_read_however_written(value: str, expected: str | None) -> None:
    mail = parse_message(samples.crlf(f"From: x@y.de\nDate: {value}\n\nx"))
    shown = mail.sent_at.isoformat() if mail.sent_at else None
    assert shown == expected or (expected is None and MailFlag.DATE_ODD in mail.flags)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="C:\\Temp\\bild.png"', "bild.png"),
        ('filename="=?utf-8?Q?B=C3=BCro=2Epdf?="', "Büro.pdf"),
        ("filename*=utf-8''B%C3%BCro.pdf", "Büro.pdf"),
        ("filename*=iso-8859-1'de'B%FCro.pdf", "Büro.pdf"),
        ('filename="B%C3%BCro.pdf"', "Büro.pdf"),
        ('filename="harmlos\u202efdp.exe"', "harmlosfdp.exe"),
        ('filename="..."', "attachment-1.pdf"),
        ('filename=""', "attachment-1.pdf"),
        ('filename="' + "a" * 400 + '.pdf"', "a" * 196 + ".pdf"),
        ("filename=ohne anführungszeichen.pdf", "ohne anführungszeichen.pdf"),
    ],
)
def test_file_names_are_decoded_and_cannot_hurt(name: str, expected: str) -> None:
    mail = parse_message(samples.crlf(f"From: x@y.de\nContent-Type: application/pdf\nContent-Disposition: attachment; {name}\n\n%PDF"))
    assert mail.attachments[0].name == expected


def test_wrong_transfer_encoding_keeps_the_text() -> None:
    mail = parse_message(b"From: a@b.de\r\nContent-Transfer-Encoding: base64\r\n\r\nDas ist gar kein base64, sondern einfach Text. (Wirklich!)\r\n")
    assert "sondern einfach Text" in mail.text
    assert MailFlag.TRANSFER_ENCODING_BROKEN in mail.flags


def test_footer_after_base64_does_not_spoil_the_file() -> None:
    raw = (
        b"From: a@b.de\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n-- \r\nDiese Mail wurde geprueft.\r\n"
    )
    assert parse_message(raw).attachments[0].data == b"%PDF"


def test_multipart_without_its_boundary_is_guessed() -> None:
    raw = samples.crlf("""
From: a@b.de
Content-Type: multipart/mixed

--echte-grenze
Content-Type: text/plain

Hallo
--echte-grenze
Content-Type: application/pdf; name=a.pdf

%PDF
--echte-grenze--
""")
    mail = parse_message(raw)
    assert mail.text.strip() == "Hallo"
    assert mail.attachments[0].name == "a.pdf"
    assert MailFlag.BOUNDARY_GUESSED in mail.flags


def test_bare_forward_shows_its_text() -> None:
    mail = parse_message(samples.simple("-----Ursprüngliche Nachricht-----\nVon: x\nGesendet: gestern\nAn: y\n\nServer aus"))
    assert "Server aus" in mail.new_text


def test_answers_between_the_quoted_lines_are_new_text() -> None:
    mail = parse_message(samples.simple("> Welcher Drucker?\nDer im Flur.\n> Seit wann?\nSeit gestern."))
    assert mail.new_text == "Der im Flur.\nSeit gestern."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Der Drucker geht nicht und wir können nicht arbeiten.", "de"),
        ("Hello, the printer does not work and we cannot print.", "en"),
        ("Drucker kaputt", None),
        ("OK", None),
        ("", None),
    ],
)
def test_language_is_voted_or_left_open(text: str, expected: str | None) -> None:
    assert parse_message(samples.simple(text)).language == expected


def test_bound_on_parts_keeps_the_rest_as_one_file() -> None:
    mail = parse_message(samples.many_parts(3000))
    assert MailFlag.PART_LIMIT in mail.flags
    rest = mail.attachments[-1]
    assert rest.name == "unopened.eml"
    assert rest.data.count(b"teil") > 1000
    assert mail.text.count("teil") + rest.data.count(b"teil") == 3000


def test_bound_on_depth_keeps_the_rest_as_one_file() -> None:
    mail = parse_message(samples.deep(200))
    assert MailFlag.DEPTH_LIMIT in mail.flags
    assert b"unten" in mail.attachments[-1].data


def test_text_after_a_huge_header_is_found() -> None:
    mail = parse_message(samples.huge_header(2 * 1024 * 1024))
    assert mail.text.strip() == "Der Text kommt nach dem Kopf."
    assert mail.subject == "gross"
    assert MailFlag.HEADER_TRUNCATED in mail.flags


def test_text_beyond_its_bound_is_cut_and_marked() -> None:
    mail = parse_message(b"From: a@b.de\r\n\r\n" + b"wort " * 300_000)
    assert len(mail.text) == DEFAULT_LIMITS.max_text_characters
    assert MailFlag.TEXT_TRUNCATED in mail.flags
