"""The way to the server for everything that outlives a link: messages go out while one stands, and only then."""

from collections.abc import Awaitable, Callable

from agents.hosts.boot import boot_seconds
from agents.protocol.messages import AgentMessage

Send = Callable[[AgentMessage], Awaitable[bool]]


class Outlet:
    """Knows the link of the moment, and since when there is none."""

    def __init__(self) -> None:
        self._send: Send | None = None
        self._away_since: float | None = boot_seconds()

    def attach(self, send: Send) -> None:
        """A link stands."""
        self._send = send
        self._away_since = None

    def detach(self) -> None:
        """The link is gone."""
        self._send = None
        if self._away_since is None:
            self._away_since = boot_seconds()

    def away_seconds(self) -> float:
        """Seconds without a link, counted through suspend; 0 while one stands."""
        return 0.0 if self._away_since is None else boot_seconds() - self._away_since

    @property
    def is_away(self) -> bool:
        """Whether there is no link."""
        return self._away_since is not None

    async def tell(self, message: AgentMessage) -> bool:
        """Send a message; False when it was not sent (it is then told again at the next welcome, where that matters)."""
        return self._send is not None and await self._send(message)
