"""A real shell of the agent into the real recorder: what was seen, what is on record, and the agent's word agree."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime

import pytest

from agents.channels.shell import open_shell
from orchestrator.core.db import Database
from orchestrator.core.ids import new_id
from orchestrator.core.settings import Settings
from sessions.recording.cast import iterate_cast
from sessions.recording.interface import AgentWord, ChannelOpening, RecorderLimits
from sessions.recording.queries import list_commands
from sessions.recording.verify import verify_recording
from sessions.recording.writer import RecordWriter

NONCE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


@pytest.mark.needs("root", "bash")
def test_shell_is_recorded_byte_for_byte_with_its_commands(tidy_user: str, sqlite_settings: Settings) -> None:
    opening = ChannelOpening(
        channel_id=new_id(), session_id=new_id(), kind="shell", shell="bash", marks_nonce=NONCE, columns=80, rows=24,
        started_at=datetime.now(UTC),
    )  # fmt: skip
    seen = bytearray()

    async def story() -> None:
        recorder = RecordWriter(Database(sqlite_settings.recordings_url, pool_size=2), limits=RecorderLimits(batch_seconds=0.05))
        recorder.start()
        channel = await recorder.open_channel(opening)
        shell = await open_shell(user=tidy_user, columns=80, rows=24, marks_nonce=NONCE)
        channel.on_durable = shell.output.acknowledge
        await shell.write_input(b"cd /usr\rseq 1 200000\rfalse\rexit 3\r")
        while not (shell.output.closed and channel.received_offset == shell.output.high):
            await asyncio.wait_for(shell.output.wait_beyond(channel.received_offset), 20)
            seen.extend(channel.append_output(shell.output.read_from(channel.received_offset, 65_536), time.monotonic()))
        status = await shell.wait_exit()
        head = await channel.close(exit_status=status, word=AgentWord(shell.output_total, shell.sha256_hex, ""))
        await shell.kill_tree()
        await recorder.stop()
        assert (head.exit_status, head.agent_agrees) == (3, True)

    asyncio.run(story())
    assert NONCE.encode() not in seen
    records = Database(sqlite_settings.recordings_url)
    with records.read() as unit:
        assert verify_recording(unit, opening.channel_id).is_whole
        rows = list_commands(unit, session_id=opening.session_id)
        assert [(row.line, row.exit_status, row.directory_after) for row in rows] == [
            ("cd /usr", 0, "/usr"), ("seq 1 200000", 0, "/usr"), ("false", 1, "/usr"), ("exit 3", 3, None),
        ]  # fmt: skip
        lines = list(iterate_cast(unit, opening.channel_id, nonce=NONCE, columns=80, rows=24, started_at=opening.started_at))
    records.dispose()
    assert "".join(json.loads(line)[2] for line in lines[1:]) == seen.decode("utf-8", "replace")
