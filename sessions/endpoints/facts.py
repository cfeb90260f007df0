"""What an agent tells of itself and its machine, made fit for our rows. All of it is text from a stranger."""

from __future__ import annotations

from collections.abc import Iterable

from agents.protocol.codec import encode_record
from agents.protocol.messages import HostFacts, Inventory, UserFacts
from sessions.endpoints.models import Endpoint

MOST_ACCOUNTS = 200


def store_host_facts(endpoint: Endpoint, host: HostFacts) -> tuple[str, ...]:
    """Write down what the agent says at the start of a link; return the fields that changed.

    The claimed class is kept as it was enrolled: an agent that says another one later is shown, never accepted anew.
    """
    before = (endpoint.protected, endpoint.agent_user, endpoint.agent_version, endpoint.consent_mode)
    endpoint.protected, endpoint.agent_user = host.protected, host.run_as
    endpoint.agent_version, endpoint.consent_mode = host.agent_version[:40], host.consent.value
    after = (endpoint.protected, endpoint.agent_user, endpoint.agent_version, endpoint.consent_mode)
    own = UserFacts(name=host.run_as, login_allowed=True, may_become_root=host.may_become_root)
    known = dict(endpoint.accounts or {})
    if not host.protected:
        known[host.run_as] = _account(own)
    endpoint.accounts = known
    names = ("protected", "agent_user", "agent_version", "consent_mode")
    return tuple(name for name, old, new in zip(names, before, after, strict=True) if old != new)


def store_inventory(endpoint: Endpoint, inventory: Inventory) -> None:
    """Replace the inventory and add the accounts that it lists."""
    record = encode_record(inventory)
    record.pop("users", None)
    record.pop("type", None)
    endpoint.inventory = record
    store_accounts(endpoint, inventory.users)


def store_accounts(endpoint: Endpoint, users: Iterable[UserFacts]) -> None:
    """Add or renew what the agent says of its OS accounts."""
    known = dict(endpoint.accounts or {})
    for user in users:
        if user.name in known or len(known) < MOST_ACCOUNTS:
            known[user.name] = _account(user)
    endpoint.accounts = known


def _account(user: UserFacts) -> dict[str, object]:
    return {"login_allowed": user.login_allowed, "may_become_root": user.may_become_root, "reason": user.reason}
