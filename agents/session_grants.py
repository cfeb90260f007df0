"""How a session of this machine gets its grant: a nonce for a signed request, then one grant that answers it.

Fail closed: a grant counts only after signature, pure check, local policy and the durable entry in the ledger.
"""

import asyncio
import logging
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agents.errors import ShellError, StateError
from agents.grants import GrantLedger, LiveGrant
from agents.identity import ServerRecord
from agents.policy import read_policy
from agents.protection import own_user_name
from agents.protocol.errors import GrantRefusal, GrantRefused
from agents.protocol.grants import AgentView, Grant, Request, check_grant, hash_grant, read_grant, read_request
from agents.protocol.signatures import PublicKey, SigningKey, hash_document
from agents.state_folder import StateFolder

_MOST_NONCES = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request for which a nonce was issued."""

    request: Request
    sha256: str


@dataclass(slots=True)
class LiveSession:
    """One session: the requests a grant may answer, by nonce, and the grant in force."""

    session_id: str
    asked: dict[str, AskedRequest] = field(default_factory=dict)
    live: LiveGrant | None = None
    opening: set[str] = field(default_factory=set)
    closed_ids: set[str] = field(default_factory=set)
    ended: bool = False
    granting: asyncio.Lock = field(default_factory=asyncio.Lock)


class SessionGrants:
    """Issues nonces and accepts grants. Uses threads for everything that touches the disk."""

    def __init__(self, *, key: SigningKey, folder: StateFolder, protected: bool) -> None:
        """Read the ledger (blocking). Raises StateError."""
        self._key = key
        self._folder = folder
        self._protected = protected
        self._ledger = GrantLedger(folder)
        self._storing = asyncio.Lock()

    async def read_asked(self, token: str, session_id: str, server: ServerRecord) -> AskedRequest:
        """Check a request for this machine and the machine's policy.

        Raises ProtocolError, PolicyRefusal, or ShellError for a user that this agent cannot serve.
        """
        request = read_request(token, PublicKey.from_text(server.server_key))
        if (
            request.session_id != session_id
            or request.server_instance != server.server_instance
            or request.epoch != server.epoch
            or request.audience != self._key.public.fingerprint
            or request.endpoint_id != server.endpoint_id
        ):
            raise GrantRefused(GrantRefusal.OTHER_REQUEST, "request is for another endpoint, session or server")
        await self._check_policy()
        self.check_user(request.user)
        return AskedRequest(request, hash_document(token))

    def issue_nonce(self, session: LiveSession, asked: AskedRequest) -> str:
        """Return a fresh nonce for one grant; of a session's nonces the newest 8 count."""
        nonce = secrets.token_urlsafe(32)
        session.asked[nonce] = asked
        while len(session.asked) > _MOST_NONCES:
            del session.asked[next(iter(session.asked))]
        return nonce

    async def accept(self, session: LiveSession | None, session_id: str, token: str, server: ServerRecord) -> LiveGrant:
        """Put a grant in force. The same grant again is no change. Raises GrantRefused, PolicyRefusal or StateError."""
        grant = read_grant(token, PublicKey.from_text(server.server_key))
        if self._ledger.is_revoked(grant.grant_id):
            raise GrantRefused(GrantRefusal.REVOKED, "grant is revoked")
        if session is None:
            raise self._unknown_nonce(grant)
        async with session.granting:
            sha256 = hash_grant(token)
            if session.live is not None and session.live.sha256 == sha256:
                session.live.check()
                return session.live
            asked = session.asked.get(grant.nonce)
            if asked is None:
                raise self._unknown_nonce(grant)
            now = datetime.now(UTC)
            check_grant(grant, self._view(session, session_id, asked, server, now))
            await self._check_policy()
            async with self._storing:
                live = await asyncio.to_thread(self._ledger.record_use, grant, sha256, now=now)
            session.asked.pop(grant.nonce, None)
            if session.ended:
                raise GrantRefused(GrantRefusal.REVOKED, "session has ended")
            session.live = live
            return live

    async def note_revoked(self, grant_id: str, reason: str) -> None:
        """Remember for ever that a grant does not count; a failing disk is logged, in memory it counts at once."""
        try:
            async with self._storing:
                await asyncio.to_thread(self._ledger.record_revocation, grant_id, reason=reason, now=datetime.now(UTC))
        except StateError as exc:
            # A later process refuses the grant all the same: it issued no such nonce.
            logger.error("revocation of grant %s is not stored: %s", grant_id, exc)

    def check_user(self, user: str) -> None:
        """Raise ShellError when an unprotected agent is asked for another user than its own."""
        if not self._protected and user != own_user_name():
            raise ShellError(f"This agent is not protected and opens shells as {own_user_name()} only.")

    async def _check_policy(self) -> None:
        policy = await asyncio.to_thread(read_policy, self._folder)
        now = datetime.now(UTC)
        policy.check_session(local_time=now.astimezone(), sessions_last_hour=self._ledger.count_uses_last_hour(now))

    def _unknown_nonce(self, grant: Grant) -> GrantRefused:
        refusal = GrantRefusal.USED if self._ledger.knows_nonce(grant.nonce) else GrantRefusal.UNKNOWN_NONCE
        return GrantRefused(refusal, "grant answers no open nonce of this agent")

    def _view(self, session: LiveSession, session_id: str, asked: AskedRequest, server: ServerRecord, now: datetime) -> AgentView:
        return AgentView(
            server_instance=server.server_instance,
            epoch=server.epoch,
            fingerprint=self._key.public.fingerprint,
            endpoint_id=server.endpoint_id,
            session_id=session_id,
            issued_nonces=frozenset(session.asked),
            request=asked.request,
            request_sha256=asked.sha256,
            now=now,
        )
