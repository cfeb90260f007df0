"""The demo's logins: random, made at the first start, kept in the data folder so that the second start prints them too."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

import pyotp


@dataclass(frozen=True, slots=True)
class DemoLogin:
    email: str
    name: str
    roles: tuple[str, ...]
    language: str
    password: str
    totp_secret: str


_PEOPLE = (
    ("jana@fernwart.example", "Jana Roth", ("technician",), "de"),
    ("tom@fernwart.example", "Tom Becker", ("technician",), "en"),
    ("lea@fernwart.example", "Lea Lindner", ("lead",), "de"),
    ("ada@fernwart.example", "Ada Krüger", ("administrator",), "en"),
    ("rita@fernwart.example", "Rita Sommer", ("auditor",), "en"),
)

CUSTOMERS = (
    ("Erika Beispiel", "erika@muster.example"),
    ("Max Muster", "max@muster.example"),
    ("Info", "info@muster.example"),
    ("Alice Sample", "alice@sample.example"),
    ("Bob Sample", "bob@sample.example"),
)


@dataclass(frozen=True, slots=True)
class DemoLogins:
    """``customers`` are (name, address) of the sample contacts."""

    logins: tuple[DemoLogin, ...]
    customers: tuple[tuple[str, str], ...] = CUSTOMERS

    @classmethod
    def open(cls, path: Path) -> DemoLogins:
        """Read the file, or make it (readable by its owner alone)."""
        if path.exists():
            rows = json.loads(path.read_text("utf-8"))
            return cls(tuple(DemoLogin(**{**row, "roles": tuple(row["roles"])}) for row in rows))
        made = cls(tuple(DemoLogin(email, name, roles, language, secrets.token_urlsafe(15), pyotp.random_base32())
                         for email, name, roles, language in _PEOPLE))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump([asdict(login) for login in made.logins], file, indent=2, ensure_ascii=False)
        return made
