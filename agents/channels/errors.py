"""Why a channel cannot be opened.

    ChannelError
    ├── UserRefused      the operating-system user may not have a shell (locked, no login, not ours to become)
    └── ChannelFailed    the machine could not start it

Each speaks one English sentence fit for a technician; it travels as the reason of ``channel_failed``.
"""

from __future__ import annotations


class ChannelError(Exception):
    """A channel cannot be opened; ``str()`` is the reason."""


class UserRefused(ChannelError):
    """The rules of this machine do not let the user have a shell."""


class ChannelFailed(ChannelError):
    """The operating system refused to start what was asked for."""
