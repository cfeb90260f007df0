"""Saying in plain words what a signed request asks: permissions, warnings, recording. Used by the mail and by the page.

Only the fields of the signed request are worded here, so that nobody is shown anything else.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.protocol.grants import Request
from agents.protocol.messages import ConsentPlace
from agents.protocol.scopes import ScopeKind, parse_scope
from orchestrator.core.i18n import Translator


def describe_scope(scope: str, request: Request, words: Translator) -> str:
    """Say what one scope allows."""
    parsed = parse_scope(scope)
    match parsed.kind:
        case ScopeKind.DIAGNOSTICS:
            return words("run read-only checks")
        case ScopeKind.TERMINAL:
            return words("type commands as user %(user)s", user=request.user)
        case ScopeKind.TERMINAL_ADMIN:
            return words("type commands as user %(user)s with administrator rights", user=request.user)
        case ScopeKind.TERMINAL_TARGET:
            return words("type commands on %(target)s, reached from this machine", target=parsed.argument)
        case ScopeKind.FILES_READ:
            return words("read files under %(path)s", path=parsed.argument)
        case ScopeKind.FILES_WRITE:
            return words("change files under %(path)s", path=parsed.argument)
        case ScopeKind.DESKTOP_VIEW:
            return words("see the screen")
        case ScopeKind.DESKTOP_CONTROL:
            return words("see the screen and use keyboard and mouse")
        case ScopeKind.TUNNEL:
            return words("open connections to %(target)s through this machine", target=parsed.argument)


def describe_scopes(scopes: Sequence[str], request: Request, words: Translator) -> list[str]:
    return [describe_scope(scope, request, words) for scope in scopes]


def describe_not_asked(request: Request, words: Translator) -> str:
    """Say in one line what is not asked for; "without administrator rights" only where the machine can promise it."""
    kinds = {parse_scope(scope).kind for scope in request.scopes}
    absent: list[str] = []
    if not kinds & {ScopeKind.FILES_READ, ScopeKind.FILES_WRITE}:
        absent.append(words("no file transfer"))
    if not kinds & {ScopeKind.DESKTOP_VIEW, ScopeKind.DESKTOP_CONTROL}:
        absent.append(words("no screen"))
    if not request.administrator and ScopeKind.TERMINAL_ADMIN not in kinds:
        absent.append(words("no administrator rights"))
    return ", ".join(absent)


def describe_recording(request: Request, words: Translator) -> str:
    """Say what is recorded; this release knows full recording only."""
    return words("Yes, everything shown. You can watch live and see all of it later.")


def describe_warnings(request: Request, words: Translator) -> list[str]:
    """Say what the approver must know before allowing."""
    warnings: list[str] = []
    if request.administrator:
        warnings.append(words("The user %(user)s may become administrator of this machine.", user=request.user))
    if not request.protected:
        warnings.append(words("The agent on this machine runs unprotected: whoever works in the session could act in the agent's name."))
    if request.consent is ConsentPlace.HERE:
        warnings.append(words("This machine asks the person in front of it as well."))
    if request.clock_is_off:
        warnings.append(words("The clock of this machine is wrong by more than ten minutes."))
    return warnings


def describe_notice(request: Request, words: Translator) -> str:
    """The privacy notice of a remote session, as shown on the page; its hash stands in the receipt."""
    return "\n".join([
        words("%(organisation)s decides about the data on this machine; %(desk)s works on its behalf, for this ticket only.",
              organisation=request.organisation, desk=request.desk),
        words("In the session %(technician)s may see personal data that the machine shows.", technician=request.technician),
        words("Everything shown is recorded, stored on the server of %(desk)s, and can be seen by those who may replay it; "
              "each replay is written down.", desk=request.desk),
        words("You can end the session at any time. For information, correction or erasure of your data ask %(organisation)s.",
              organisation=request.organisation),
    ])
