"""A session from the nonce to the agent's word, over real sockets and with a real shell."""

import asyncio
import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from agents.protocol.channel_messages import ChannelError, ChannelErrorMessage, ChannelResumed, ChannelRevoke, OutputAck, Rebase, Resize
from agents.protocol.grants import sign_grant, sign_request
from agents.protocol.messages import (
    AskUser,
    ChannelFailed,
    ChannelKind,
    ChannelLost,
    ChannelOpened,
    CloseWord,
    Failure,
    GrantAnswer,
    Inventory,
    OpenChannel,
    OpenSession,
    ResumeChannel,
    Revoke,
    Revoked,
    SessionRefused,
    SessionStopped,
    UseGrant,
    UserAnswer,
    WordStored,
)
from agents.protocol.signatures import hash_document
from agents.protocol.words import read_word
from tests.agents.desk import AgentLink, Desk, DeskChannel, desk_and_agent, enrol_at, error_of, in_loop, running_agent, until
from tests.agents.protocol.builders import build_grant

pytestmark = [pytest.mark.needs("bash"), pytest.mark.timeout(90)]
RAW = b"stty raw -echo; echo re''ady\n"


async def is_ready(channel: DeskChannel) -> None:
    await until(lambda: b"ready" in channel.record, f"the terminal is raw: {bytes(channel.record[-200:])!r}")


async def take_word(desk: Desk, link: AgentLink, channel: DeskChannel) -> str:
    """Expect the agent's word, check it against the record, and return the cause it names."""
    told = await link.expect(CloseWord)
    word = read_word(told.word, link.key)
    assert word.channel_id == told.channel_id == channel.channel_id
    if word.cause == "exit":
        assert word.output_bytes == len(channel.record)
        assert word.output_sha256 == hashlib.sha256(channel.record).hexdigest()
        assert channel.exit is not None
        assert word.exit_status == channel.exit.status
    if not link.gone:
        await link.send(WordStored(channel_id=told.channel_id))
    return word.cause


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


@in_loop
async def test_a_shell_runs_and_its_exit_and_the_agents_word_agree_with_the_record(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        channel = await desk.open_shell(link)
        opened = await link.expect(ChannelOpened)
        assert channel.attaches[0].marks_nonce == opened.marks_nonce
        assert channel.attaches[0].shell == opened.shell
        channel.type(b"echo sum $((20+22)); exit 7\n")
        await until(lambda: channel.exit is not None, "the shell exits")
        assert channel.exit is not None and channel.exit.status == 7
        assert b"sum 42" in channel.record
        assert await take_word(desk, link, channel) == "exit"
        words = tmp_path / "state" / "words.json"
        await until(lambda: words.read_text() == "{}", "the stored word is forgotten")


@in_loop
async def test_a_connection_cut_again_and_again_loses_and_doubles_no_byte(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        channel = await desk.open_shell(link)
        channel.type(RAW)
        await is_ready(channel)
        start = len(channel.record)
        channel.cuts = [start + 1, start + 150_000, start + 151_000, start + 900_000]
        expected = b"".join(b"%d\n" % number for number in range(1, 200_001))

        async def renew() -> None:
            while True:
                lost = await link.expect(ChannelLost)
                await link.send(ResumeChannel(channel=desk.make_ticket(desk.channels[lost.channel_id])))

        renewing = asyncio.create_task(renew())
        channel.type(b"seq 1 200000; exit\n")
        await until(lambda: channel.exit is not None, "the shell exits")
        renewing.cancel()
        assert channel.cuts == []
        assert expected in bytes(channel.record)
        assert [one.conn for one in channel.attaches] == sorted({one.conn for one in channel.attaches})
        assert len(channel.attaches) >= 5
        assert await take_word(desk, link, channel) == "exit"


@in_loop
async def test_a_server_that_vanishes_and_returns_gets_the_rest_of_the_stream(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        channel = await desk.open_shell(link)
        channel.type(RAW)
        await is_ready(channel)
        channel.type(b"sleep 0.3; seq 1 20000; read -r line; echo got:$line; exit 3\n")
        await until(lambda: channel.applied == len(channel.typed), "the line is applied")
        await desk.stop()
        await until(lambda: b"20000" in opener.opened[0].output.read_from(opener.opened[0].output.low, 2**22), "output waits")
        await desk.start()
        again = await desk.link(1)
        assert [one.channel_id for one in again.proof.channels] == [channel.channel_id]
        channel.type(b"hello\n")
        await until(lambda: channel.exit is not None, "the shell exits")
        assert b"".join(b"%d\n" % number for number in range(1, 20_001)) in bytes(channel.record)
        assert channel.record.count(b"got:hello") == 1
        assert await take_word(desk, again, channel) == "exit"


@in_loop
async def test_a_full_buffer_stops_the_process_and_nothing_is_lost(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        channel = await desk.open_shell(link)
        channel.acknowledge = False
        channel.type(RAW)
        await is_ready(channel)
        channel.type(b"head -c 6000000 /dev/zero | tr '\\0' x; exit\n")
        buffer = opener.opened[0].output
        await until(lambda: buffer.high - buffer.low == 4 * 1024 * 1024, "the buffer is full")
        await asyncio.sleep(0.1)
        assert buffer.high - buffer.low == 4 * 1024 * 1024
        assert channel.exit is None
        channel.acknowledge = True
        await channel.say(OutputAck(output=len(channel.record)))
        await until(lambda: channel.exit is not None, "the shell exits")
        assert channel.record.count(b"x") >= 6_000_000


@in_loop
async def test_a_megabyte_of_input_arrives_byte_for_byte_while_output_flows(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        channel = await desk.open_shell(link)
        channel.type(RAW)
        await is_ready(channel)
        pasted = bytes(range(256)) * 4096
        channel.type(b"head -c %d | sha256sum; exit\n" % len(pasted))
        await until(lambda: channel.applied == len(channel.typed), "the command is typed")
        channel.type(pasted)
        await until(lambda: channel.exit is not None, "the shell exits")
        assert hashlib.sha256(pasted).hexdigest().encode() in channel.record
        assert channel.applied <= channel.sent_input


@in_loop
async def test_input_that_waits_is_dropped_by_a_rebase_and_counted_from_there(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        channel = await desk.open_shell(link)
        channel.type(RAW + b"sleep 1; head -c 3 >/dev/null; exit 5\n")
        await is_ready(channel)
        await until(lambda: channel.applied == len(channel.typed), "the command is typed")
        channel.type(b"z" * 60_000)
        await until(lambda: channel.applied < channel.sent_input == len(channel.typed), "the terminal is full")
        await channel.say(Rebase(generation=1))
        await until(lambda: any(type(one).__name__ == "Rebased" for one in channel.heard), "rebased")
        kept = channel.applied
        assert 0 < kept < 60_000
        await until(lambda: channel.exit is not None, "the shell exits")
        assert channel.applied == kept


@in_loop
async def test_more_input_than_the_credit_allows_ends_the_socket(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        channel = await desk.open_shell(link)
        channel.type(RAW + b"sleep 20\n")
        await is_ready(channel)
        assert channel.socket is not None
        await channel.socket.send(b"z" * 200_000)
        await until(lambda: error_of(channel) is not None, "the agent complains")
        assert (await link.expect(ChannelLost)).channel_id == channel.channel_id


@in_loop
async def test_the_terminal_is_resized(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        channel = await desk.open_shell(link)
        channel.type(RAW)
        await is_ready(channel)
        await channel.say(Resize(columns=133, rows=44))
        channel.type(b"sleep 0.1; stty size; exit\n")
        await until(lambda: channel.exit is not None, "the shell exits")
        assert b"44 133" in channel.record


@pytest.mark.parametrize("in_band", [False, True])
def test_a_revoked_channel_is_gone_within_a_second_with_its_processes(tmp_path: Path, in_band: bool) -> None:
    @in_loop
    async def scenario() -> None:
        async with desk_and_agent(tmp_path) as (desk, link, opener):
            channel = await desk.open_shell(link)
            channel.type(RAW + b"nohup sleep 300 & echo child:$!:; sleep 300\n")
            await until(lambda: re.search(rb"child:(\d+):", channel.record) is not None, "the child runs")
            found = re.search(rb"child:(\d+):", channel.record)
            assert found is not None
            pid = int(found[1])
            assert is_running(pid)
            loop = asyncio.get_running_loop()
            started = loop.time()
            if in_band:
                await channel.say(ChannelRevoke(reason="stopped by the customer"))
            else:
                await link.send(Revoke(session_id="session-1", grant_id="grant-1", reason="stopped by the customer"))
                assert (await link.expect(Revoked)).channels == (channel.channel_id,)
            await until(lambda: opener.opened[0].exit_status is not None and not is_running(pid), "the processes are gone")
            assert loop.time() - started < 1
            assert await take_word(desk, link, channel) == "revoked"

    scenario()


@in_loop
async def test_a_session_goes_on_after_one_channel_is_revoked_and_ends_with_the_session(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        first = await desk.open_shell(link)
        await link.send(Revoke(session_id="session-1", channels=(first.channel_id,), reason="closed"))
        assert (await link.expect(Revoked)).channels == (first.channel_id,)
        second = await desk.open_channel(link, "")
        await until(lambda: second.socket is not None, "a second channel under the same grant")
        await link.send(Revoke(session_id="session-1", reason="ended"))
        assert (await link.expect(Revoked)).channels == (second.channel_id,)
        third = await desk.open_channel(link, "")
        failed = await link.expect(ChannelFailed)
        assert (failed.channel_id, failed.code) == (third.channel_id, Failure.GRANT)


@in_loop
async def test_the_time_of_a_grant_ends_the_session_without_the_server(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        channel = await desk.open_shell(link, max_seconds=1)
        assert (await link.expect(SessionStopped)).cause == "time"
        await until(lambda: opener.opened[0].exit_status is not None, "the shell is gone")
        assert await take_word(desk, link, channel) == "time"


@in_loop
async def test_a_follow_up_grant_lets_the_running_channel_go_on(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        channel = await desk.open_shell(link, max_seconds=2)
        longer = await desk.make_grant(link, grant_id="grant-2", max_seconds=600)
        await link.send(UseGrant(session_id="session-1", grant=sign_grant(desk.key, longer)))
        assert (await link.expect(GrantAnswer)).refusal == ""
        await asyncio.sleep(2.2)
        channel.type(b"exit 4\n")
        await until(lambda: channel.exit is not None, "the shell exits")
        assert opener.opened[0].exit_status == 4
        word = read_word((await link.expect(CloseWord)).word, link.key)
        assert word.grant_id == "grant-2"


@in_loop
async def test_without_a_link_the_agent_closes_by_itself_after_the_grace(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        channel = await desk.open_shell(link, grace_seconds=1)
        channel.type(b"echo last words\n")
        await until(lambda: b"last words\r\n" in channel.record, "it runs")
        await desk.stop()
        await until(lambda: opener.opened[0].exit_status is not None, "the shell is gone")
        await desk.start()
        again = await desk.link(1)
        assert (await again.expect(SessionStopped)).cause == "grace"
        await until(lambda: channel.exit is not None, "the exit reaches the record all the same")
        assert await take_word(desk, again, channel) == "grace"


@in_loop
async def test_a_channel_the_server_does_not_name_any_more_is_closed(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        channel = await desk.open_shell(link)
        desk.resumes = False
        link.socket.transport.abort()
        again = await desk.link(1)
        await until(lambda: opener.opened[0].exit_status is not None, "the shell is gone")
        assert await take_word(desk, again, channel) == "unwanted"


@in_loop
async def test_a_grant_revoked_while_the_link_was_away_ends_before_anything_resumes(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        channel = await desk.open_shell(link)
        desk.revoked = ("grant-1",)
        await desk.stop()
        await desk.start()
        again = await desk.link(1)
        await until(lambda: opener.opened[0].exit_status is not None, "the shell is gone")
        assert await take_word(desk, again, channel) == "revoked"
        assert len(channel.attaches) <= 2


@in_loop
async def test_a_healthy_socket_stays_when_only_the_link_breaks(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        channel = await desk.open_shell(link)
        link.socket.transport.abort()
        await desk.link(1)
        channel.type(b"exit\n")
        await until(lambda: channel.exit is not None, "the shell exits")
        assert len(channel.attaches) == 1


@pytest.mark.parametrize("beyond", [1_000_000, -1])
def test_a_position_that_leaves_a_gap_ends_the_channel(tmp_path: Path, beyond: int) -> None:
    @in_loop
    async def scenario() -> None:
        async with desk_and_agent(tmp_path) as (desk, link, opener):
            grant = await desk.make_grant(link)
            channel = desk.make_channel()
            channel.answer = lambda resume: ChannelResumed(output=max(0, resume.out_hi + beyond), input=resume.applied if beyond > 0 else 77)
            ticket = desk.make_ticket(channel)
            await link.send(OpenChannel(channel.channel_id, "session-1", ChannelKind.SHELL, 80, 24, ticket.token, "0", sign_grant(desk.key, grant)))
            await until(lambda: error_of(channel) is not None, "the agent complains")
            error = error_of(channel)
            assert error is not None and error.code is ChannelError.GAP
            await until(lambda: opener.opened[0].exit_status is not None, "the shell is gone")

    scenario()


@in_loop
async def test_a_channel_the_server_refuses_for_good_is_closed(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        channel = await desk.open_shell(link)
        await channel.say(ChannelErrorMessage(code=ChannelError.RECORDING, reason="the record cannot be written"))
        await until(lambda: opener.opened[0].exit_status is not None, "the shell is gone")


@in_loop
async def test_the_agent_tells_about_its_machine_and_its_users(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (_desk, link, _):
        inventory = await link.expect(Inventory)
        assert inventory.processors >= 1
        assert inventory.memory_bytes > 0
        await link.send(AskUser(query_id="q1", user="no-such-user"))
        answer = await link.expect(UserAnswer)
        assert (answer.query_id, answer.facts.login_allowed) == ("q1", False)
        await link.send(AskUser(query_id="q2", user=link.proof.host.run_as))
        assert (await link.expect(UserAnswer)).facts.may_become_root == link.proof.host.may_become_root


@in_loop
async def test_a_stopped_agent_closes_its_sessions_first(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state")
    async with running_agent(folder):
        link = await desk.link()
        channel = await desk.open_shell(link)
    assert (await link.expect(SessionStopped)).cause == "shutdown"
    assert await take_word(desk, link, channel) == "shutdown"
    await desk.stop()


@in_loop
async def test_an_agent_stops_although_the_server_never_says_that_a_channel_is_on_record(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state")
    async with running_agent(folder):
        link = await desk.link()
        channel = await desk.open_shell(link, max_seconds=1)
        channel.fin = False
        assert (await link.expect(SessionStopped)).cause == "time"
        await until(lambda: channel.exit is not None, "the exit is told")
    assert await take_word(desk, link, channel) == "time"


@in_loop
async def test_a_word_that_was_not_stored_is_told_again_by_a_later_process(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state")
    async with running_agent(folder):
        link = await desk.link()
        channel = await desk.open_shell(link)
        channel.type(b"exit\n")
        first = await link.expect(CloseWord)
    async with running_agent(folder):
        link = await desk.link(1)
        assert await link.expect(CloseWord) == first
        await link.send(WordStored(channel_id=first.channel_id))
        await until(lambda: (tmp_path / "state" / "words.json").read_text() == "{}", "the word is forgotten")
    await desk.stop()


@in_loop
async def test_a_name_of_a_channel_counts_once(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        channel = await desk.open_shell(link)
        again = desk.make_ticket(channel)
        message = OpenChannel(channel.channel_id, "session-1", ChannelKind.SHELL, 80, 24, again.token, "0")
        await link.send(message)
        assert (await link.expect(ChannelFailed)).code is Failure.UNKNOWN
        await link.send(replace(message, channel_id="other", kind=ChannelKind.FILES))
        assert (await link.expect(ChannelFailed)).code is Failure.UNSUPPORTED
        assert opener.asked == 1


@pytest.mark.needs("root")
@in_loop
async def test_a_shell_of_root_needs_the_scope_for_it(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        request = desk.ask(link, user="root")
        token, nonce = await desk.open_session(link, request)
        plain = replace(build_grant(request, hash_document(token), nonce), scopes=("terminal",))
        await desk.open_channel(link, sign_grant(desk.key, plain))
        failed = await link.expect(ChannelFailed)
        assert failed.code is Failure.SCOPE and "terminal.admin" in failed.reason
        assert opener.asked == 0


@pytest.mark.needs("root")
@in_loop
async def test_a_grant_of_a_plain_terminal_suffices_for_an_ordinary_account(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, opener):
        await desk.open_shell(link, scopes=("terminal",))
        assert opener.asked == 1
        assert link.proof.host.protected


@pytest.mark.needs("root")
@in_loop
async def test_an_unprotected_agent_serves_its_own_account_only(tmp_path: Path) -> None:
    desk = Desk()
    await desk.start()
    folder = await enrol_at(desk, tmp_path / "state")
    tmp_path.chmod(0o777)
    async with running_agent(folder):
        link = await desk.link()
        assert not link.proof.host.protected
        await link.send(OpenSession(session_id="session-1", request=sign_request(desk.key, desk.ask(link))))
        assert (await link.expect(SessionRefused)).code is Failure.USER
        token, nonce = await desk.open_session(link, request := desk.ask(link, user="root"))
        grant = build_grant(request, hash_document(token), nonce)
        channel = await desk.open_channel(link, sign_grant(desk.key, grant))
        await until(lambda: channel.socket is not None, "a shell of its own account")


@in_loop
async def test_an_account_that_is_not_there_fails_the_channel_with_the_reason(tmp_path: Path) -> None:
    async with desk_and_agent(tmp_path) as (desk, link, _):
        request = desk.ask(link, user="nobody-here")
        if link.proof.host.protected:
            token, nonce = await desk.open_session(link, request)
            await desk.open_channel(link, sign_grant(desk.key, build_grant(request, hash_document(token), nonce)))
            failed = await link.expect(ChannelFailed)
            assert failed.code is Failure.USER and "nobody-here" in failed.reason
        else:
            await link.send(OpenSession(session_id="session-1", request=sign_request(desk.key, request)))
            assert (await link.expect(SessionRefused)).code is Failure.USER
