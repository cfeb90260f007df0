"""Errors of this room; see ``orchestrator/core/errors.py`` for the tree."""

from __future__ import annotations

from orchestrator.core.errors import Conflict, Unavailable


class RecordingUnavailable(Unavailable):
    """The record cannot be written (any more): what would be recorded must not happen."""


class RecordingDamaged(Conflict):
    """A stored recording cannot be read; `verify` names the first wrong link."""
