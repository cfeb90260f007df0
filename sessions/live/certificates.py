"""Which TLS certificates are ours: an agent tells which one it saw, and a relay with one of its own is found out.

Ours are those of ``FERNWART_TLS_CERT`` and of ``FERNWART_PUBLIC_CERTS`` (a proxy in front). The files are read again when they
change; what they held before stays ours for 48 h, so that a renewed certificate cuts nobody off.
"""

from __future__ import annotations

import hashlib
import re
import time
from binascii import Error as Base64Error
from pathlib import Path
from ssl import PEM_cert_to_DER_cert

import structlog

from orchestrator.core.settings import Settings

log = structlog.get_logger(__name__)

PREVIOUS_SECONDS = 48 * 3600
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class OwnCertificates:
    """Knows the SHA-256 (hex, over DER) of each. Reads small files: call it from a thread."""

    def __init__(self, settings: Settings) -> None:
        listed = [Path(part.strip()) for part in re.split(r"[,:]", settings.public_certs) if part.strip()]
        self._files = [*([settings.tls_cert] if settings.tls_cert else []), *listed]
        self._may_be_plain = settings.allow_plain_http
        self._current: dict[str, None] = {}
        self._previous: dict[str, float] = {}
        self._read_as: tuple[tuple[str, float, int], ...] = ()

    def is_own(self, digest: str, *, from_loopback: bool) -> bool:
        """Tell whether the certificate an agent saw is ours; an empty digest (no TLS) counts on loopback, or where plain http
        is allowed, and only while we have no certificate at all or the agent is on this machine."""
        self._read_again()
        if not digest:
            return from_loopback or (self._may_be_plain and not self._files)
        if digest in self._current:
            return True
        return self._previous.get(digest, 0.0) > time.monotonic()

    def _read_again(self) -> None:
        seen = tuple(self._look_at(path) for path in self._files)
        if seen == self._read_as:
            return
        self._read_as = seen
        found: dict[str, None] = {}
        for path in self._files:
            try:
                text = path.read_text("ascii", errors="replace")
                found |= {hashlib.sha256(PEM_cert_to_DER_cert(pem)).hexdigest(): None for pem in _PEM.findall(text)}
            except (OSError, ValueError, Base64Error) as exc:
                log.error("certificate file cannot be read", path=str(path), reason=str(exc))
        until = time.monotonic() + PREVIOUS_SECONDS
        self._previous |= {digest: until for digest in self._current if digest not in found}
        self._current = found

    @staticmethod
    def _look_at(path: Path) -> tuple[str, float, int]:
        try:
            status = path.stat()
        except OSError:
            return str(path), 0.0, 0
        return str(path), status.st_mtime, status.st_size
