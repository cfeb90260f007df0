"""Enrolling this machine: key pair, pinned server, first proof with the token's secret. Accepting is the server's side."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from agents.dialing import DIAL_ERRORS, describe_failure, read_address
from agents.errors import ConfigurationError, EnrolmentError
from agents.host_facts import collect_host_facts
from agents.identity import ServerRecord, create_key, find_key, find_server, save_server
from agents.inventory import collect_inventory
from agents.link_handshake import LinkRefusedError, read_message, shake_hands
from agents.policy import write_first_policy
from agents.protocol import limits
from agents.protocol.errors import HandshakeRefused, ProtocolError
from agents.protocol.messages import ConsentPlace, Enrolment, HostClass, LinkRefusal, Refused, Waiting, Welcome
from agents.protocol.signatures import SigningKey
from agents.protocol.tokens import EnrolmentToken
from agents.protocol.version import LINK_PATH
from agents.state_folder import StateFolder

ANSWER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The outcome: `accepted` is False while a technician has yet to compare the fingerprint."""

    endpoint_id: str
    fingerprint: str
    accepted: bool


def prepare_enrolment(
    state: Path, url: str, token: EnrolmentToken, *, host_class: HostClass, consent: ConsentPlace, ca_file: str
) -> tuple[StateFolder, SigningKey, ServerRecord]:
    """Make state folder, key and policy. Raises ConfigurationError when there is an enrolled identity already."""
    read_address(url, ca_file)
    folder = StateFolder.create(state)
    known = find_server(folder)
    if known is not None and known.endpoint_id:
        raise ConfigurationError(
            f"This agent is enrolled already, with {known.url}. To enrol anew, remove the state folder {folder.path} first."
        )
    key = find_key(folder) or create_key(folder)
    write_first_policy(folder, consent=consent)
    record = ServerRecord(
        url=url.strip(),
        ca_file=str(Path(ca_file).absolute()) if ca_file else "",
        server_fingerprint=token.server_fingerprint,
        host_class=host_class,
    )
    save_server(folder, record)
    return folder, key, record


async def enrol(folder: StateFolder, key: SigningKey, record: ServerRecord, token: EnrolmentToken) -> Enrolled:
    """Introduce this machine to the server. Raises EnrolmentError or ConfigurationError, in words for the person who typed."""
    try:
        return await _enrol(folder, key, record, token)
    except LinkRefusedError as exc:
        if exc.refused.code is LinkRefusal.TOKEN:
            raise EnrolmentError(f"The server does not take this token: {exc}") from exc
        raise EnrolmentError(f"The server refuses this machine: {exc}") from exc
    except (HandshakeRefused, ProtocolError) as exc:
        raise EnrolmentError(f"This is not the server that issued the token: {exc}. Nothing was told to it.") from exc
    except DIAL_ERRORS as exc:
        raise EnrolmentError(f"{record.url} cannot be reached: {describe_failure(exc)}.") from exc


async def _enrol(folder: StateFolder, key: SigningKey, record: ServerRecord, token: EnrolmentToken) -> Enrolled:
    host = await asyncio.to_thread(collect_host_facts, folder, record.host_class)
    inventory = await asyncio.to_thread(collect_inventory)
    socket = await read_address(record.url, record.ca_file).dial(LINK_PATH, longest_message=limits.LINK_MESSAGE_BYTES)
    try:
        proved = await shake_hands(
            socket,
            key=key,
            record=record,
            folder=folder,
            host=host,
            enrol=Enrolment(token_id=token.token_id, secret=token.secret, inventory=inventory),
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await read_message(socket)
    finally:
        await socket.close()
    match answer:
        case Refused():
            raise LinkRefusedError(answer)
        case Welcome() if answer.host_class is not record.host_class:
            raise HandshakeRefused("server accepted this machine under another class")
        case Welcome() | Waiting():
            await asyncio.to_thread(save_server, folder, replace(proved, endpoint_id=answer.endpoint_id))
            return Enrolled(answer.endpoint_id, key.public.fingerprint, accepted=isinstance(answer, Welcome))
        case _:
            raise HandshakeRefused("server did not answer the enrolment")
