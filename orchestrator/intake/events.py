"""What intake tells other rooms."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.events import Event


@dataclass(frozen=True, slots=True)
class OwnLinksSeen(Event):
    """A mail that came in quoted secret links of ours. ``token_hashes`` are the SHA-256 (hex) of their tokens: whoever made
    such a link burns it, inside this transaction. The stored mail holds them masked."""

    token_hashes: tuple[str, ...]
    raw_input_id: str
