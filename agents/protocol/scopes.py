"""The one grammar of scopes and the one function `covers`, used by server and agent alike.

    diagnostics · terminal · terminal.admin · terminal:TARGET · files.read:/PATH · files.write:/PATH
    desktop.view · desktop.control · tunnel:HOST:PORT

A scope has exactly one way to be written; everything else is refused. `terminal.admin` includes `terminal`,
`desktop.control` includes `desktop.view`, a path includes what lies below it; nothing else includes anything.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from agents.protocol.codec import is_clean_text
from agents.protocol.errors import ProtocolError


class ScopeKind(StrEnum):
    """What a scope is about."""

    DIAGNOSTICS = "diagnostics"
    TERMINAL = "terminal"
    TERMINAL_ADMIN = "terminal.admin"
    TERMINAL_TARGET = "terminal:"
    FILES_READ = "files.read"
    FILES_WRITE = "files.write"
    DESKTOP_VIEW = "desktop.view"
    DESKTOP_CONTROL = "desktop.control"
    TUNNEL = "tunnel"


class InvalidScope(ProtocolError):
    """The text is not a scope of the grammar."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A parsed scope; `argument` is the target, the path or HOST:PORT, else empty."""

    kind: ScopeKind
    argument: str = ""


_PLAIN = {
    kind.value: kind
    for kind in (
        ScopeKind.DIAGNOSTICS,
        ScopeKind.TERMINAL,
        ScopeKind.TERMINAL_ADMIN,
        ScopeKind.DESKTOP_VIEW,
        ScopeKind.DESKTOP_CONTROL,
    )
}
_TARGET = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


def parse_scope(text: str) -> Scope:
    """Read one scope. Raises InvalidScope for anything but its canonical form."""
    if text in _PLAIN:
        return Scope(_PLAIN[text])
    head, colon, argument = text.partition(":")
    if colon:
        if head == "terminal" and _TARGET.fullmatch(argument):
            return Scope(ScopeKind.TERMINAL_TARGET, argument)
        if head in (ScopeKind.FILES_READ, ScopeKind.FILES_WRITE) and is_canonical_path(argument):
            return Scope(ScopeKind(head), argument)
        if head == ScopeKind.TUNNEL and _is_host_and_port(argument):
            return Scope(ScopeKind.TUNNEL, argument)
    raise InvalidScope("scope is not of the grammar")


def is_canonical_path(path: str) -> bool:
    """Tell whether a path is absolute and has no empty, `.` or `..` part, no trailing slash and no control
    character."""
    if path == "/":
        return True
    if not path.startswith("/") or len(path) > 1000 or "\\" in path or not is_clean_text(path):
        return False
    return all(part not in ("", ".", "..") for part in path[1:].split("/"))


def covers(granted: Iterable[str], action: str) -> bool:
    """Tell whether an action, written as a scope, is inside the granted scopes. Never raises: what cannot be read
    covers nothing.

    For files the action is the exact path that is read or written, after the caller has resolved links.
    """
    try:
        wanted = parse_scope(action)
    except InvalidScope:
        return False
    for text in granted:
        try:
            given = parse_scope(text)
        except InvalidScope:
            continue
        if _includes(given, wanted):
            return True
    return False


def is_narrowing(asked: Iterable[str], approved: Iterable[str]) -> bool:
    """Tell whether every approved scope lies inside what was asked, and every one of them is of the grammar."""
    asked = tuple(asked)
    return all(covers(asked, scope) for scope in approved)


def _includes(given: Scope, wanted: Scope) -> bool:
    if given == wanted:
        return True
    if given.kind is ScopeKind.TERMINAL_ADMIN:
        return wanted.kind is ScopeKind.TERMINAL
    if given.kind is ScopeKind.DESKTOP_CONTROL:
        return wanted.kind is ScopeKind.DESKTOP_VIEW
    if given.kind in (ScopeKind.FILES_READ, ScopeKind.FILES_WRITE) and given.kind is wanted.kind:
        return given.argument == "/" or wanted.argument.startswith(given.argument + "/")
    return False


def _is_host_and_port(argument: str) -> bool:
    host, colon, port = argument.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
        return False
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1])) == host[1:-1]
        except ValueError:
            return False
    if host.replace(".", "").isdigit():
        try:
            return str(ipaddress.IPv4Address(host)) == host
        except ValueError:
            return False
    return bool(_HOST.fullmatch(host))
