"""The second factor: time-based codes (RFC 6238), 6 digits, 30 s, SHA-1 as every app understands it.

A code counts one step (30 s) before and after its time, and once: a step that was accepted, and every older one, is refused.
"""

from __future__ import annotations

import base64
import hmac
import io
import re
import secrets
from datetime import datetime

import segno
from pyotp.totp import TOTP
from sqlalchemy import select

from orchestrator.accounts.models import User
from orchestrator.accounts.secret_box import read_totp_secret
from orchestrator.core.db import WriteUnit

STEP_SECONDS = 30
_CODE = re.compile(r"[0-9]{6}")


def new_totp_secret() -> str:
    """Make a random secret of 160 bits in base 32."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def find_step(secret: str, code: str, *, at: datetime, after_step: int | None) -> int | None:
    """Return the step that a code belongs to, or None. Spaces in the code do not matter; steps up to ``after_step`` are used."""
    digits = re.sub(r"\s", "", code)
    if not _CODE.fullmatch(digits):
        return None
    totp = TOTP(secret)
    current = int(at.timestamp()) // STEP_SECONDS
    found: int | None = None
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(totp.generate_otp(step), digits) and (after_step is None or step > after_step):
            found = step
    return found


def prove_second_factor(unit: WriteUnit, user_id: str, code: str) -> bool:
    """Check a code of a user and use it up. Of two requests with one code, one succeeds."""
    user = unit.db.scalar(
        select(User).where(User.id == user_id).with_for_update().execution_options(populate_existing=True)
    )
    secret = read_totp_secret(unit, user) if user is not None else None
    if user is None or secret is None or user.disabled_at is not None:
        return False
    step = find_step(secret, code, at=unit.now, after_step=user.totp_last_step)
    if step is None:
        return False
    user.totp_last_step = step
    unit.db.flush()
    return True


def provisioning_address(secret: str, *, email: str, issuer: str) -> str:
    """Return the ``otpauth://`` address that an app reads from the QR code."""
    return TOTP(secret).provisioning_uri(name=email or "account", issuer_name=issuer)


def draw_qr_code(address: str) -> bytes:
    """Draw a QR code as an SVG image on white, readable on dark pages as well."""
    image = io.BytesIO()
    segno.make(address, error="m", micro=False).save(image, kind="svg", scale=5, border=4, light="#fff", xmldecl=True, svgns=True)
    return image.getvalue()
