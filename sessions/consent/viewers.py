"""Who of the customer's side may watch, replay and fetch the receipt: the browser that decided, or one that typed a code.

The deciding browser holds a cookie of its own for each link; another browser gets one for six digits mailed to the
approver's stored address (five tries, ten minutes, kept as keyed hash). A forwarded link alone shows state and *stop*.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import func, select

from orchestrator.accounts.actor import Actor, ActorKind
from orchestrator.core.db import ReadUnit, WriteUnit
from orchestrator.core.errors import Conflict
from orchestrator.core.i18n import translator
from orchestrator.core.ids import new_id, new_secret
from orchestrator.customers.models import Contact
from orchestrator.notifications.outbox import enqueue_mail
from orchestrator.tickets.models import Ticket
from sessions.consent.links import OpenedLink, open_link
from sessions.consent.mails import write_code_mail
from sessions.consent.models import ConsentCode, ConsentLink, ConsentRequest
from sessions.lifecycle.models import RemoteSession
from sessions.ports import SessionServices

COOKIE_PREFIX = "__Host-fernwart-view-"
CODE_LIFE = timedelta(minutes=10)
CODE_TRIES = 5
CODES_AN_HOUR = 5
VIEW_AFTER_CODE = timedelta(hours=12)


class TooManyCodes(Conflict):
    code = "too_many_codes"

    def __init__(self) -> None:
        super().__init__("Too many codes were asked for. Wait an hour.")


def cookie_name(link: ConsentLink) -> str:
    """The cookie of one link; bound to this host, without the link's secret."""
    return COOKIE_PREFIX + link.id.replace("-", "")[-16:]


def remember_decider(link: ConsentLink) -> str:
    """Make the secret of the deciding browser's cookie."""
    secret = new_secret()
    link.watcher_hash = _hash(secret)
    return secret


def is_viewer(unit: ReadUnit, opened: OpenedLink, cookies: Mapping[str, str]) -> bool:
    """Tell whether this browser decided through the link, or typed a code for it within the last hours."""
    given = cookies.get(cookie_name(opened.link))
    if not given:
        return False
    hashed = _hash(given)
    if opened.link.watcher_hash is not None and hmac.compare_digest(opened.link.watcher_hash, hashed):
        return True
    return unit.db.scalar(select(ConsentCode.id).where(
        ConsentCode.link_id == opened.link.id, ConsentCode.viewer_hash == hashed, ConsentCode.used_at > unit.now - VIEW_AFTER_CODE,
    ).limit(1)) is not None


def viewer_actor(opened: OpenedLink, contact: Contact | None, *, address: str | None) -> Actor:
    """The actor that an authorised browser is: the contact the link went to."""
    return Actor(kind=ActorKind.CONTACT, id=opened.request.contact_id, name=contact.name if contact else opened.request.sent_to,
                 organisation_id=opened.session.organisation_id, address=address, language=opened.request.language)


def find_viewer(unit: ReadUnit, session_id: str, cookies: Mapping[str, str], *, address: str | None = None) -> Actor | None:
    """Return who this browser is for a session, by any of its cookies; None when it is nobody. For sockets and downloads."""
    if not any(name.startswith(COOKIE_PREFIX) for name in cookies):
        return None
    links = unit.db.execute(select(ConsentLink, ConsentRequest).join(ConsentRequest, ConsentRequest.id == ConsentLink.request_id).where(
        ConsentRequest.session_id == session_id)).all()
    for link, request in links:
        if link.dies_at is not None and link.dies_at <= unit.now:
            continue
        opened = _opened(unit, link, request)
        if is_viewer(unit, opened, cookies):
            return viewer_actor(opened, unit.db.get(Contact, request.contact_id), address=address)
    return None


def mail_code(unit: WriteUnit, token: str, *, services: SessionServices) -> None:
    """Mail six digits to the approver's stored address. Raises LinkUnknown, TooManyCodes."""
    opened = open_link(unit, token)
    unit.db.scalars(select(ConsentLink.id).where(ConsentLink.id == opened.link.id).with_for_update(key_share=True)).one()
    recent = unit.db.scalar(select(func.count()).select_from(ConsentCode).where(
        ConsentCode.link_id == opened.link.id, ConsentCode.created_at > unit.now - timedelta(hours=1))) or 0
    if recent >= CODES_AN_HOUR:
        raise TooManyCodes()
    digits = f"{secrets.randbelow(1_000_000):06d}"
    row = ConsentCode(id=new_id(), link_id=opened.link.id, tries_left=CODE_TRIES, expires_at=unit.now + CODE_LIFE, created_at=unit.now,
                      code_mac="")
    row.code_mac = _mac(services, row.id, digits)
    unit.db.add(row)
    unit.db.flush()
    text = write_code_mail(services.keys.read_request(opened.request.request_jws), minutes=int(CODE_LIFE.total_seconds() // 60),
                           words=translator(opened.request.language))
    enqueue_mail(unit, purpose="consent.code", to_address=opened.request.sent_to, to_name="", subject=text.subject, text=text.text,
                 automatic=False, ticket=unit.db.get(Ticket, opened.session.ticket_id), reference_id=opened.request.id,
                 secret_values={"code": digits}, language=opened.request.language, not_after=unit.now + CODE_LIFE)


def use_code(unit: WriteUnit, token: str, digits: str, *, services: SessionServices) -> str | None:
    """Take a code and return the secret for this browser's cookie, or None: wrong, used, too late, tried too often.

    A wrong try is counted, so the unit must be committed in either case. Raises LinkUnknown.
    """
    opened = open_link(unit, token)
    unit.db.scalars(select(ConsentLink.id).where(ConsentLink.id == opened.link.id).with_for_update(key_share=True)).one()
    row = unit.db.scalars(select(ConsentCode).where(ConsentCode.link_id == opened.link.id).order_by(
        ConsentCode.created_at.desc(), ConsentCode.id.desc()).limit(1).execution_options(populate_existing=True)).one_or_none()
    if row is None or row.used_at is not None or row.tries_left < 1 or row.expires_at <= unit.now:
        return None
    typed = "".join(character for character in digits if character.isdigit())[:20]
    if not hmac.compare_digest(row.code_mac, _mac(services, row.id, typed)):
        row.tries_left -= 1
        unit.db.flush()
        return None
    secret = new_secret()
    row.used_at, row.viewer_hash = unit.now, _hash(secret)
    unit.db.flush()
    return secret


def _opened(unit: ReadUnit, link: ConsentLink, request: ConsentRequest) -> OpenedLink:
    return OpenedLink(link, request, unit.db.get_one(RemoteSession, request.session_id))


def _mac(services: SessionServices, code_id: str, digits: str) -> str:
    return services.keys.mac("consent code", code_id, digits)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
