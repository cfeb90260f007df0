"""Mail addresses, mail domains and phone numbers in the form in which they are stored and compared. Pure."""

from __future__ import annotations

import re

import phonenumbers

from orchestrator.core.errors import InvalidInput

DEFAULT_REGION = "DE"
SHORTEST_NUMBER = 6
"""Digits with the country code; what is shorter is an extension or a slip of the pen."""
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"\\\x00-\x1f\x7f]{1,64}@(?:[a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

FREE_MAIL_DOMAINS = frozenset({
    "aol.com", "aol.de", "arcor.de", "email.de", "freenet.de", "fastmail.com", "gmail.com", "gmx.at", "gmx.ch", "gmx.com",
    "gmx.de", "gmx.eu", "gmx.net", "googlemail.com", "hotmail.com", "hotmail.de", "hotmail.fr", "hotmail.it", "icloud.com",
    "kabelmail.de", "laposte.net", "libero.it", "live.com", "live.de", "live.nl", "mac.com", "magenta.de", "mail.com",
    "mail.de", "mail.ru", "mailbox.org", "me.com", "msn.com", "netcologne.de", "o2mail.de", "online.de", "orange.fr",
    "outlook.com", "outlook.de", "posteo.de", "posteo.net", "proton.me", "protonmail.com", "rocketmail.com", "seznam.cz",
    "t-online.de", "tutanota.com", "tutanota.de", "tuta.io", "unitybox.de", "versanet.de", "vodafone.de", "vodafonemail.de",
    "web.de", "wp.pl", "yahoo.com", "yahoo.de", "yahoo.fr", "yandex.ru", "ymail.com", "zoho.com", "bluewin.ch",
})
"""Domains where anybody can have an address: they say nothing about the organisation."""


def normalise_address(text: str) -> str:
    """Return a mail address in lower case, its domain in ASCII. Raises ``InvalidInput``."""
    local, at, domain = text.strip().lower().rpartition("@")
    try:
        ascii_domain = normalise_domain(domain)
    except InvalidInput as exc:
        raise InvalidInput("{text} is not a mail address.", text=text[:100], field="email") from exc
    address = f"{local}@{ascii_domain}"
    if not at or len(address) > 254 or not _ADDRESS.fullmatch(address):
        raise InvalidInput("{text} is not a mail address.", text=text[:100], field="email")
    return address


def normalise_domain(text: str) -> str:
    """Return a mail domain in lower case ASCII. Raises ``InvalidInput``."""
    domain = text.strip().lower().lstrip("@").rstrip(".")
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError as exc:
        raise InvalidInput("{text} is not a mail domain.", text=text[:100], field="domains") from exc
    if not _DOMAIN.fullmatch(domain):
        raise InvalidInput("{text} is not a mail domain.", text=text[:100], field="domains")
    return domain


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()


def normalise_phone(text: str, region: str = DEFAULT_REGION) -> str:
    """Return a number as E.164 (``+49…``); without a country code it is one of ``region``. Raises ``InvalidInput``."""
    number = find_phone(text, region)
    if number is None:
        raise InvalidInput("{text} is not a phone number.", text=text[:60], field="phone")
    return number


def find_phone(text: str, region: str = DEFAULT_REGION) -> str | None:
    """Like ``normalise_phone``, but None for what is not a possible number."""
    if len(text) > 60:
        return None
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return number if len(number) > SHORTEST_NUMBER else None


def show_phone(number: str) -> str:
    """Write an E.164 number as people read it."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(number, None), phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    except phonenumbers.NumberParseException:
        return number
