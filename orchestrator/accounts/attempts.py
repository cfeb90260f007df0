"""How often passwords and codes may be tried, counted in the memory of this process.

Passwords count by address (an IPv6 address by its /64), by account, and by both together, so that a stranger elsewhere
cannot lock somebody out cheaply; a success clears what that person at that address had used up. Codes count by account.
"""

from __future__ import annotations

import ipaddress
import time

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from orchestrator.accounts.errors import TooManyAttempts


class LoginAttempts:
    """Counts of one process; safe to use from many threads. Every method raises ``TooManyAttempts`` when it is enough."""

    BY_ADDRESS: RateLimitItem = RateLimitItemPerMinute(100, 15)
    BY_ACCOUNT: RateLimitItem = RateLimitItemPerHour(100)
    BY_BOTH: RateLimitItem = RateLimitItemPerMinute(10, 15)
    CODES: RateLimitItem = RateLimitItemPerMinute(10, 15)
    LINKS: RateLimitItem = RateLimitItemPerMinute(60, 15)

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count_password(self, *, account: str, address: str) -> None:
        """Count a try of a password before it is checked; ``account`` is what was typed, whether it exists or not."""
        account, address = account.strip().lower()[:254], group_address(address)
        self._hit(self.BY_BOTH, "password", account, address)
        self._hit(self.BY_ADDRESS, "password-address", address)
        self._hit(self.BY_ACCOUNT, "password-account", account)

    def clear_password(self, *, account: str, address: str) -> None:
        """Forget the tries of an account from an address, after the right password."""
        self._limiter.clear(self.BY_BOTH, "password", account.strip().lower()[:254], group_address(address))

    def count_code(self, *, user_id: str) -> None:
        """Count a try of a code of the second factor before it is checked."""
        self._hit(self.CODES, "code", user_id)

    def clear_codes(self, *, user_id: str) -> None:
        self._limiter.clear(self.CODES, "code", user_id)

    def count_link(self, *, address: str) -> None:
        """Count the use of a one-time link."""
        self._hit(self.LINKS, "link", group_address(address))

    def _hit(self, item: RateLimitItem, *names: str) -> None:
        if not self._limiter.hit(item, *names):
            reset_at = self._limiter.get_window_stats(item, *names).reset_time
            raise TooManyAttempts(max(1, int(reset_at - time.time()) + 1))


def group_address(address: str) -> str:
    """Return what counts as one address: an IPv4 address itself, of an IPv6 address the network that one customer gets."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
