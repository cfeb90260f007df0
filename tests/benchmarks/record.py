"""After the terminals: every recording verifies, its hash is the one the agent signed, and no word differs."""

from __future__ import annotations

import json

from sqlalchemy import select

from orchestrator.core.db import Database
from orchestrator.core.settings import Settings
from sessions.lifecycle.models import ChannelRow
from sessions.recording.verify import verify_recording


def check_records(settings: Settings, session_id: str) -> None:
    """Raise AssertionError naming the channel whose record is not whole; print how much was checked."""
    database, records = Database(settings.sqlalchemy_url), Database(settings.recordings_url)
    try:
        with database.read() as unit:
            channels = unit.db.scalars(select(ChannelRow).where(ChannelRow.session_id == session_id)).all()
        checked = 0
        for channel in channels:
            with records.read() as unit:
                report = verify_recording(unit, channel.id, expected_head=channel.record_head or None)
            assert report.first_bad_seq is None, f"recording of {channel.id}: {report}"
            assert not channel.word_differs, f"the agent's word about {channel.id} differs: {json.dumps(channel.word)[:300]}"
            checked += report.total_bytes
        print(f"records of {len(channels)} channels verify: {checked / 1e6:.1f} MB, agent's signed words agree")
    finally:
        database.dispose()
        records.dispose()
