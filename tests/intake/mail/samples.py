"""Odd mails as German clients, servers, fax gateways and telephone systems write them, and hostile ones.

Written for this project; no real person, address or company.
"""

# ruff: noqa: W291  # one case on one line; flowed text ends its lines with a space

import base64
import quopri
import struct
from collections.abc import Callable

CRLF = b"\r\n"
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


def crlf(text: str, charset: str = "utf-8") -> bytes:
    """Encode text with the line ends of the wire."""
    return text.lstrip("\n").replace("\n", "\r\n").encode(charset)


def simple(
    text: str = "Der Drucker im zweiten Stock druckt nicht mehr.",
    *,
    subject: str = "Drucker",
    sender: str = "Erika Beispiel <erika@example.de>",
    to: str = "support@fernwart.example",
    message_id: str = "<1@example.de>",
    extra: str = "",
) -> bytes:
    """A plain mail; `extra` are further header lines, each with its line end."""
    return crlf(
        f"From: {sender}\nTo: {to}\nSubject: {subject}\nDate: Mon, 02 Feb 2026 10:00:00 +0100\nMessage-ID: {message_id}\n{extra}"
        f'MIME-Version: 1.0\nContent-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: 8bit\n\n{text}\n'
    )


def german_outlook() -> bytes:
    """Outlook in German: both forms, Windows-1252, a quote without marks, a signature, an inline logo."""
    plain = (
        "Guten Tag,\n\nder Drucker geht immer noch nicht.\n\nMit freundlichen Grüßen\nErika Beispiel\n\nBeispiel GmbH\n"
        "Tel. +49 30 123456\nAmtsgericht Berlin HRB 12345\n\n"
        "Von: Support <support@fernwart.example> \nGesendet: Montag, 2. Februar 2026 09:12\nAn: Erika Beispiel <erika@example.de>\n"
        "Betreff: [#2026-000123-4] Drucker\n\nBitte starten Sie den Drucker neu.\n"
    )
    page = (
        '<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><style>p.MsoNormal{margin:0cm}</style></head><body lang=DE>'
        "<div class=WordSection1><p class=MsoNormal>Guten Tag,<o:p></o:p></p><p class=MsoNormal>der Drucker geht immer noch nicht.<o:p></o:p></p>"
        '<p class=MsoNormal><img src="cid:image001.png@01DC9400.12345670"><o:p></o:p></p>'
        "<div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm'><p class=MsoNormal><b>Von:</b> Support<br>"
        "<b>Gesendet:</b> Montag, 2. Februar 2026 09:12<br><b>An:</b> Erika<br><b>Betreff:</b> Drucker<o:p></o:p></p></div>"
        "<p class=MsoNormal>Bitte starten Sie den Drucker neu.<o:p></o:p></p></div></body></html>"
    )
    return (
        crlf("""
From: =?iso-8859-1?Q?M=FCller=2C_Erika?= <erika@example.de>
To: "support@fernwart.example" <support@fernwart.example>
Subject: =?iso-8859-1?Q?AW:_[#2026-000123-4]_Drucker_f=FCr_B=FCro?=
Thread-Topic: Drucker
Date: Mon, 2 Feb 2026 09:30:00 +0100
Message-ID: <DB9PR01MB1234@DB9PR01MB1234.eurprd01.prod.exchangelabs.com>
In-Reply-To: <t1.abc@fernwart.example>
References: <t0.abc@fernwart.example> <t1.abc@fernwart.example>
Accept-Language: de-DE, en-US
Content-Language: de-DE
MIME-Version: 1.0
Content-Type: multipart/related;
	boundary="_004_DB9PR01MB1234_"; type="multipart/alternative"

--_004_DB9PR01MB1234_
Content-Type: multipart/alternative; boundary="_000_DB9PR01MB1234_"

--_000_DB9PR01MB1234_
Content-Type: text/plain; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

""")
        + quopri.encodestring(plain.encode("cp1252")).replace(b"\n", CRLF)
        + crlf("""
--_000_DB9PR01MB1234_
Content-Type: text/html; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

""")
        + quopri.encodestring(page.encode("cp1252")).replace(b"\n", CRLF)
        + crlf("""
--_000_DB9PR01MB1234_--

--_004_DB9PR01MB1234_
Content-Type: image/png; name="image001.png"
Content-Disposition: inline; filename="image001.png"
Content-ID: <image001.png@01DC9400.12345670>
Content-Transfer-Encoding: base64

""")
        + base64.encodebytes(PNG).replace(b"\n", CRLF)
        + b"--_004_DB9PR01MB1234_--\r\n"
    )


def gmx_phone() -> bytes:
    """GMX on a phone: the device's line, then an attribution with a German date."""
    return crlf("""
From: "Max Muster" <max.muster@gmx.de>
To: support@fernwart.example
Subject: Re: [#2026-000123-4] Drucker
Date: Mon, 2 Feb 2026 18:00:00 +0100
Message-ID: <trinity-1@3c-app-gmx-bap>
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit

Ja, morgen um 9 Uhr passt es mir gut.

--
Diese Nachricht wurde von meinem Android Mobiltelefon mit GMX Mail gesendet.
Am 02.02.26, 17:12 schrieb Support <support@fernwart.example>:
> Wann dürfen wir uns aufschalten?
>
> Ihr Support
""")


def t_online() -> bytes:
    """T-Online's web mail: raw Latin-1 in the header, no charset in the body, a separator in German."""
    return crlf(
        """
From: Jürgen Größe <j.groesse@t-online.de>
To: <support@fernwart.example>
Subject: Störung Telefonanlage
Date: Mo, 02 Feb 2026 11:00:00 +0100 (MEZ)
Message-Id: <1rXYZ-0001@fwd70.t-online.de>
MIME-Version: 1.0
Content-Type: text/plain

Hallo, unsere Telefonanlage läuft nicht mehr. Können Sie bitte prüfen, woran es liegt?

-----Ursprüngliche Nachricht-----
Von: Support
Datum: 01.02.2026
Wir haben ein Update eingespielt.
""",
        "iso-8859-1",
    )


def apple_mail() -> bytes:
    """Apple Mail: HTML after plain text in one mixed mail, a PDF between, flowed text."""
    return (
        crlf("""
From: Anna =?utf-8?Q?L=C3=B6we?= <anna@example.com>
To: support@fernwart.example
Subject: =?utf-8?Q?Rechnung_f=C3=BCr?= =?utf-8?Q?_M=C3=A4rz_=E2=82?= =?utf-8?Q?=AC?=
Date: Mon, 2 Feb 2026 12:00:00 +0100
Message-Id: <A1B2@example.com>
Mime-Version: 1.0 (Mac OS X Mail 16.0)
Content-Type: multipart/mixed; boundary="Apple-Mail=_1"

--Apple-Mail=_1
Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes
Content-Transfer-Encoding: 8bit

Anbei die Rechnung, die beim Öff 
nen abstürzt.

--Apple-Mail=_1
Content-Disposition: attachment;
	filename*0*=utf-8''Rechnung%20M%C3%A4rz%20;
	filename*1*=2026.pdf
Content-Type: application/pdf; x-unix-mode=0644; name="Rechnung =?utf-8?Q?M=C3=A4rz?= 2026.pdf"
Content-Transfer-Encoding: base64

""")
        + base64.encodebytes(PDF).replace(b"\n", CRLF)
        + crlf("""
--Apple-Mail=_1
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<html><body><p>Danke und Gruß</p></body></html>
--Apple-Mail=_1--
""")
    )


def fax_gateway() -> bytes:
    """A fax gateway: the number in the subject and the local part, TIFF attached, DOS umlauts in the text."""
    return (
        crlf("""
From: "Fax +49301234567" <fax.+49301234567@fax.gateway.example>
To: fax@fernwart.example
Subject: Fax von +49 30 1234567 (3 Seiten)
Date: 02.02.2026 10:15:00
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=fax_42

--fax_42
Content-Type: text/plain

""")
        + "Fax empfangen für Anschluß Büro\r\n".encode("cp850")
        + crlf("""
--fax_42
Content-Type: image/tiff; name="..\\..\\fax\\20260202:101500.tif"
Content-Transfer-Encoding: base64

""")
        + base64.encodebytes(b"II*\0" + b"\x00" * 200).replace(b"\n", CRLF)
        + b"--fax_42--\r\n"
    )


def phone_system() -> bytes:
    """A telephone system's voice mail: no Message-ID, bare line feeds, a name in the type only."""
    return (
        b"From: Telefonanlage <>\nTo: support@fernwart.example\nSubject: Anruf in Abwesenheit von 0301234567\n"
        b"Auto-Submitted: auto-generated\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
        b"Content-Type: text/html\n\n<table><tr><td>Anrufer:</td><td>030 1234567</td></tr><tr><td>Dauer:</td><td>0:42</td></tr></table>\n"
        b'--b\nContent-Type: audio/x-wav; name="nachricht.wav"\nContent-Transfer-Encoding: base64\n\n'
        + base64.encodebytes(b"RIFF....WAVE")
        + b"--b--\n"
    )


def bounce_report(*, status: str = "5.1.1", action: str = "failed", original_id: str = "t1.abc@fernwart.example") -> bytes:
    """A delivery status notification as RFC 3464 wants it."""
    return crlf(f"""
Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example.de>
To: support@fernwart.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Date: Mon, 2 Feb 2026 10:00:00 +0100
Message-ID: <bounce-1@mx.example.de>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B/1"

--B/1
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--B/1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.de
Arrival-Date: Mon, 2 Feb 2026 09:59:00 +0100

Final-Recipient: rfc822; weg@example.de
Original-Recipient: rfc822;weg@example.de
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 5.1.1 <weg@example.de>: Recipient address rejected

--B/1
Content-Type: message/rfc822

From: Support <support@fernwart.example>
To: weg@example.de
Subject: [#2026-000123-4] Drucker
Message-ID: <{original_id}>

Bitte melden Sie sich.

--B/1--
""")


def german_bounce() -> bytes:
    """A free-text bounce as web.de and GMX write it."""
    return crlf("""
Return-Path: <>
From: "GMX Mailer Daemon" <mailer-daemon@gmx.de>
To: support@fernwart.example
Subject: Mail delivery failed: returning message to sender
Date: Mon, 2 Feb 2026 10:00:00 +0100
Message-ID: <bounce-2@gmx.net>

Diese E-Mail wurde vom Mailserver automatisch erzeugt.
Ihre Nachricht konnte nicht zugestellt werden:

weg@gmx.de:
SMTP error from remote server for RCPT TO command, host: mx00.gmx.net
550 5.1.1 mailbox unavailable

--- The header of the original message is following. ---

Received: from fernwart.example
From: Support <support@fernwart.example>
Message-ID: <t9.xyz@fernwart.example>
Subject: [#2026-000124-5] Telefon
""")


def winmail() -> bytes:
    """Outlook's winmail.dat with one file."""

    def attribute(level: int, kind: int, name: int, data: bytes) -> bytes:
        return struct.pack("<BHHI", level, name, kind, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)

    packed = (
        struct.pack("<IH", 0x223E9F78, 1)
        + attribute(1, 0x0008, 0x9006, b"\0\0\1\0")
        + attribute(2, 0x0006, 0x9002, b"\0" * 14)
        + attribute(2, 0x0001, 0x8010, b"ANGEBO~1.PDF\0")
        + attribute(2, 0x0006, 0x800F, PDF)
        + attribute(
            2, 0x0006, 0x9005, struct.pack("<IHHII", 1, 0x001F, 0x3707, 1, 44) + "Angebot für Büro.pdf\0\0".encode("utf-16-le")
        )
    )  # fmt: skip
    return (
        crlf("""
From: erika@example.de
To: support@fernwart.example
Subject: Angebot
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=tnef

--tnef
Content-Type: text/plain; charset=us-ascii

siehe Anhang

--tnef
Content-Type: application/ms-tnef; name="winmail.dat"
Content-Transfer-Encoding: base64

""")
        + base64.encodebytes(packed).replace(b"\n", CRLF)
        + b"--tnef--\r\n"
    )


def out_of_office() -> bytes:
    """Exchange's absence note in German."""
    return simple(
        "Ich bin bis zum 9. Februar nicht im Haus. Ihre Nachricht wird nicht weitergeleitet.",
        subject="Automatische Antwort: [#2026-000123-4] Drucker",
        extra="Auto-Submitted: auto-generated\nX-Auto-Response-Suppress: All\nx-ms-exchange-inbox-rules-loop: erika@example.de\n",
    )


def invitation() -> bytes:
    """A meeting request."""
    return crlf("""
From: chef@example.de
To: support@fernwart.example
Subject: Termin Umzug
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=cal

--cal
Content-Type: text/plain; charset=utf-8

Wir treffen uns um zehn Uhr.
--cal
Content-Type: text/calendar; charset=utf-8; method=REQUEST

BEGIN:VCALENDAR
METHOD:REQUEST
END:VCALENDAR
--cal--
""")


def many_parts(count: int = 50_000) -> bytes:
    """More parts than anybody sends."""
    part = b"--x\r\nContent-Type: text/plain\r\n\r\nteil\r\n"
    return b"From: a@b.de\r\nSubject: Teile\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" + part * count + b"--x--\r\n"


def deep(depth: int = 1000) -> bytes:
    """Multiparts inside multiparts."""
    opening = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(depth))
    return b"From: a@b.de\r\nSubject: tief\r\n" + opening + b"Content-Type: text/plain\r\n\r\nunten\r\n"


def huge_header(size: int = 10 * 1024 * 1024) -> bytes:
    """A header of ten megabytes before a short text."""
    line = b"X-Filler: " + b"a" * 980 + b"\r\n"
    return b"From: a@b.de\r\nSubject: gross\r\n" + line * (size // len(line)) + b"\r\nDer Text kommt nach dem Kopf.\r\n"


def _wrapped_base64(layers: int) -> bytes:
    """Base64 of base64 of base64."""
    data = b"a" * 1_000_000
    for _ in range(layers):
        data = base64.encodebytes(data)
    return b"Content-Transfer-Encoding: base64\r\n\r\n" + data


def hostile_mails() -> dict[str, Callable[[], bytes]]:
    """Mails made to cost time or memory, by name; each is built when it is called."""
    return {
        "50 000 parts": lambda: many_parts(),
        "depth 1 000": lambda: deep(),
        "header of 10 MB": lambda: huge_header(),
        "header of 10 MB in one line": lambda: b"Subject: " + b"a" * (10 * 1024 * 1024) + b"\r\n\r\ntext",
        "header of bare carriage returns": lambda: b"a: b\r" * (2 * 1024 * 1024),
        "header of folds": lambda: b"Subject: x\r\n" + b" y\r\n" * (2 * 1024 * 1024),
        "encoded words without end": lambda: b"Subject: " + b"=?utf-8?q?" * 400_000 + b"\r\n\r\ntext",
        "addresses without end": lambda: b"To: " + b"a@b.de, " * 1_000_000 + b"\r\n\r\ntext",
        "addresses of colons": lambda: b"From: " + b"a" * 30_000 + b"@" + b":" * 30_000 + b"\r\n\r\ntext",
        "references without end": lambda: b"References: " + b"<a@b> " * 1_000_000 + b"\r\n\r\ntext",
        "parameters without end": lambda: b"Content-Type: text/plain; " + b"a*0*=b; " * 500_000 + b"\r\n\r\ntext",
        "boundary in every line": lambda: b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--xx\r\n" * 2_000_000,
        "guesses without end": lambda: b"Content-Type: multipart/mixed\r\n\r\n" + b"--x\r\n" * 2_000_000,
        "20 MB of base64": lambda: b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * (5 * 1024 * 1024),
        "20 MB of broken base64": lambda: b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=Q" * (10 * 1024 * 1024),
        "20 MB of quoted-printable": lambda: b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=" * (20 * 1024 * 1024),
        "20 MB of NUL": lambda: b"\0" * (20 * 1024 * 1024),
        "20 MB of quote marks": lambda: b"Subject: x\r\n\r\n" + b">" * (20 * 1024 * 1024),
        "a million quoted lines": lambda: b"Subject: x\r\n\r\n" + b"> a\r\n" * 1_000_000,
        "a million attributions": lambda: b"Subject: x\r\n\r\n" + b"Am 1.1.2026 a@b.de\r\n" * 500_000,
        "a million header blocks": lambda: b"Subject: x\r\n\r\n" + b"Von: a\r\n" * 1_000_000,
        "a million signatures": lambda: b"Subject: x\r\n\r\n" + b"Mit freundlichen Gr=FC=DFen\r\nTel. 1\r\n" * 200_000,
        "closing phrases": lambda: b"Subject: x\r\n\r\n" + b"MfG\r\n" * 500_000,
        "uuencode begins": lambda: b"Subject: x\r\n\r\n" + b"begin 644 x\r\n" * 500_000,
        "html open tags": lambda: b"Content-Type: text/html\r\n\r\n" + b"<p><font size=1>" * 500_000,
        "html open comments": lambda: b"Content-Type: text/html\r\n\r\n" + b"<!--" * 2_000_000,
        "html open quotes": lambda: b"Content-Type: text/html\r\n\r\n" + b'<a b="x ' * 1_000_000,
        "html references": lambda: b"Content-Type: text/html\r\n\r\n" + b"&" * 5_000_000,
        "html long reference": lambda: b"Content-Type: text/html\r\n\r\n&#" + b"9" * 5_000_000,
        "html attributes": lambda: b"Content-Type: text/html\r\n\r\n<a " + b" ".join(b"a%d=1" % index for index in range(300_000)) + b">",
        "html divs": lambda: b"Content-Type: text/html\r\n\r\n" + b"<div>" * 29_000,
        "utf-7": lambda: b"Content-Type: text/plain; charset=utf-7\r\n\r\n" + b"+ADw-" * 2_000_000,
        "utf-16 surrogates": lambda: b"Content-Type: text/plain; charset=utf-16\r\n\r\n\xff\xfe" + b"\x00\xd8" * 2_000_000,
        "punycode": lambda: b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a" * 5_000_000 + b"-" + b"z" * 5_000_000,
        "links of ours": lambda: b"Subject: x\r\n\r\n" + (b"https://support.example.de/consent/" + b"a" * 43 + b"\r\n") * 200_000,
        "words of links": lambda: b"Subject: x\r\n\r\n" + b"consent/" * 2_000_000,
        "broken lines": lambda: b"Subject: x\r\n\r\n" + b"c=\r\n" * 3_000_000,
        "base64 in base64": lambda: _wrapped_base64(8),
        "random bytes": lambda: bytes(range(256)) * 40_000,
        "tnef": lambda: b"Content-Type: application/ms-tnef\r\n\r\n" + struct.pack("<IH", 0x223E9F78, 1)
        + (struct.pack("<BHHI", 2, 0x9002, 6, 0) + b"\0\0") * 500_000,
        "delivery status": lambda: b"Content-Type: multipart/report; boundary=x; report-type=delivery-status\r\n\r\n--x\r\n"
        b"Content-Type: message/delivery-status\r\n\r\n" + b"\r\n" * 5_000_000 + b"--x--",
        "rfc 822 nested": lambda: b"Content-Type: message/rfc822\r\n\r\n" * 300_000,
    }  # fmt: skip
