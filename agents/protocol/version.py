"""Which wire this is, and where it is spoken: versions, paths, the token header. Limits are in limits.py."""

import re

PROTOCOL_VERSION = 1
SUPPORTED_VERSIONS = (1,)

LINK_PATH = "/agent/v1/link"
CHANNEL_TOKEN_HEADER = "X-Fernwart-Channel-Token"  # noqa: S105 (the name of a header, no password)

_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")


def channel_path(label: str, channel_id: str) -> str:
    """Name the path of a channel's socket at the server process that holds the channel.

    Raises ValueError when either part could escape its path segment.
    """
    if not _LABEL.fullmatch(label) or not _IDENTIFIER.fullmatch(channel_id):
        raise ValueError("label or channel id is not fit for a path")
    return f"/p/{label}/agent/v1/channels/{channel_id}"


def choose_version(offered: tuple[int, ...]) -> int | None:
    """Return the highest version both sides speak, or None."""
    shared = set(offered) & set(SUPPORTED_VERSIONS)
    return max(shared) if shared else None
