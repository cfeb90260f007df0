"""Links of consent mails: made, found by the hash of their token, fetched, burned.

The token is the secret in the mail. It is in no table: a row holds its SHA-256, and the secret of the form's own token.
Deciding consumes the decision only; state and *stop* work until 30 days after the end of the session.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import NotFound
from orchestrator.core.ids import new_id, new_secret
from sessions.consent.models import ConsentLink, ConsentRequest
from sessions.lifecycle.models import RemoteSession


class LinkUnknown(NotFound):
    """No such link, or it has died; the two look the same."""

    code = "link_unknown"

    def __init__(self) -> None:
        super().__init__("This link is unknown or too old.")


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """What a token leads to."""

    link: ConsentLink
    request: ConsentRequest
    session: RemoteSession

    @property
    def form_token(self) -> str:
        """What the form must send back: HMAC of the link's secret over the hash of the signed request."""
        return form_token(self.link.form_secret, self.request.request_hash)


def hash_token(token: str) -> str:
    """Return the SHA-256 (hex) by which a token is found; also what intake hands to ``burn_link``."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def form_token(form_secret: str, request_hash: str) -> str:
    return hmac.new(form_secret.encode(), request_hash.encode(), hashlib.sha256).hexdigest()


def is_form_token(opened: OpenedLink, given: str) -> bool:
    """Compare in constant time; an empty one never matches."""
    return bool(given) and hmac.compare_digest(opened.form_token.encode(), given.encode("utf-8", "replace"))


def make_link(unit: WriteUnit, request_id: str, *, decision_until: datetime) -> tuple[ConsentLink, str]:
    """Make a link for a request; return it with its token, which must go into a mail and nowhere else."""
    token = new_secret()
    link = ConsentLink(id=new_id(), request_id=request_id, token_hash=hash_token(token), form_secret=new_secret(),
                       decision_until=decision_until, created_at=unit.now)
    unit.db.add(link)
    unit.db.flush()
    return link, token


def open_link(unit: ReadUnit, token: str) -> OpenedLink:
    """Find what a token leads to. Raises LinkUnknown."""
    row = unit.db.execute(
        select(ConsentLink, ConsentRequest, RemoteSession)
        .join(ConsentRequest, ConsentRequest.id == ConsentLink.request_id)
        .join(RemoteSession, RemoteSession.id == ConsentRequest.session_id)
        .where(ConsentLink.token_hash == hash_token(token))
    ).one_or_none()
    if row is None or (row[0].dies_at is not None and row[0].dies_at <= unit.now):
        raise LinkUnknown()
    return OpenedLink(row[0], row[1], row[2])


def note_fetch(unit: WriteUnit, token: str) -> bool:
    """Note that the link was fetched for the first time, perhaps by a scanner. Never part of any state."""
    opened = open_link(unit, token)
    if opened.request.fetched_at is not None:
        return False
    opened.request.fetched_at = unit.now
    return True


def burn_link(unit: WriteUnit, token_hash: str) -> bool:
    """Take the decision from a link whose token was seen in incoming mail; state and *stop* go on. Returns whether there is one."""
    link = unit.db.scalars(select(ConsentLink).where(ConsentLink.token_hash == token_hash).with_for_update(key_share=True)).one_or_none()
    if link is None:
        return False
    if link.burned_at is None:
        link.burned_at = unit.now
        unit.db.flush()
    return True


def list_link_ids(unit: ReadUnit, session_id: str) -> frozenset[str]:
    """The ids of all links of a session."""
    return frozenset(unit.db.scalars(select(ConsentLink.id).join(
        ConsentRequest, ConsentRequest.id == ConsentLink.request_id).where(ConsentRequest.session_id == session_id)))
