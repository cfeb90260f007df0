"""What bash reports by marks, case by case (marks.md 4), in a real login shell on a real terminal."""

from __future__ import annotations

import asyncio
import pwd
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sessions.recording.interface import MarkEventKind
from tests.agents.channels.conftest import DEBIAN_BASHRC, write_home_file
from tests.agents.channels.shell_driver import ShellDriver

pytestmark = [pytest.mark.needs("root", "bash", "vim", "less"), pytest.mark.timeout(60)]

Rows = list[tuple[str | None, int | None]]


def drive(user: str, story: Callable[[ShellDriver], Awaitable[None]], *, wait: bool = True) -> ShellDriver:
    """Open a shell, run the story in it, end it, and check what holds for every story."""

    async def run() -> ShellDriver:
        async with ShellDriver(user, wait=wait) as shell:
            await story(shell)
        return shell

    shell = asyncio.run(run())
    assert shell.nonce.encode() not in shell.visible
    return shell


# Lines typed one after the other, each after the prompt of the one before, and the rows they make (None: same as typed).
LINES: dict[str, tuple[list[str], Rows | None]] = {
    "status of pipelines and sub-shells": (
        ["false | cat", "true | false", "(exit 7)"],
        [("false | cat", 0), ("true | false", 1), ("(exit 7)", 7)],
    ),
    "background job and wait": (["sleep 0.1 &", "true", "wait"], None),
    "alias and function as typed": (
        ["ll /", "ff() { return 4; }", "ff"],
        [("ll /", 0), ("ff() { return 4; }", 0), ("ff", 4)],
    ),
    "history is expanded": (["echo abc", "!!"], [("echo abc", 0), ("echo abc", 0)]),
    "not found and signals": (
        ["nosuchcommand_x", "sh -c 'kill -9 $$'", "sh -c 'kill -SEGV $$'"],
        [("nosuchcommand_x", 127), ("sh -c 'kill -9 $$'", 137), ("sh -c 'kill -SEGV $$'", 139)],
    ),
    "unicode and the marks' own special characters": (["echo 'grüße 日本 🚀 ; % \\ \"q\" %3b'"], None),
    "leading space and repeated line": (["echo a", "echo a", " echo secret", " echo secret", "echo b"], None),
    "clear and reset": (["clear", "tput reset", "true"], None),
    "set -u, -e, -x, -v, -f, -C": (
        ["set -u", "! true", "set -e", "! true", "true", "set +e", "set -x", "echo x", "set -v", "echo y", "set +xv", "set -f -C", "true"],
        [("set -u", 0), ("! true", 1), ("set -e", 0), ("! true", 1), ("true", 0), ("set +e", 0), ("set -x", 0), ("echo x", 0),
         ("set -v", 0), ("echo y", 0), ("set +xv", 0), ("set -f -C", 0), ("true", 0)],
    ),
    "user's own DEBUG and ERR traps": (
        ["trap 'echo DBG' DEBUG", "echo one", "trap 'echo ERRTRAP' ERR", "false", "true"],
        [("trap 'echo DBG' DEBUG", 0), ("echo one", 0), ("trap 'echo ERRTRAP' ERR", 0), ("false", 1), ("true", 0)],
    ),
    "functrace": (["set -T", "trap 'echo DBG' DEBUG", "true"], None),
    "prompt command overwritten": (
        ["PROMPT_COMMAND='echo pc'", "true", "false"],
        [("PROMPT_COMMAND='echo pc'", 0), ("true", 0), ("false", 1)],
    ),
    "array of prompt commands with the user's status": (
        ["PROMPT_COMMAND+=('echo st=$?')", "(exit 3)", "true"],
        [("PROMPT_COMMAND+=('echo st=$?')", 0), ("(exit 3)", 3), ("true", 0)],
    ),
    "user's own PS0": (["PS0='before> '", "true", "(exit 2)"], [("PS0='before> '", 0), ("true", 0), ("(exit 2)", 2)]),
    "PS0 unset": (["unset PS0", "true"], None),
    "history cleared and read": (["history -a", "history -c", "history -r", "echo after"], None),
    "short history": (["HISTSIZE=3", "echo 1", "echo 2", "echo 3", "echo 4"], None),
    "IFS and nocasematch": (["IFS=0123456789", "shopt -s nocasematch", "echo x"], None),
    "aliases and functions on builtins": (
        ["alias printf=false history=false local=false", "printf() { :; }; history() { :; }", "echo x"],
        None,
    ),
    "cmdhist off": (["shopt -u cmdhist", "echo x"], None),
    "allexport": (["set -a", "true", "env | grep -c _fw_nonce"], [("set -a", 0), ("true", 0), ("env | grep -c _fw_nonce", 1)]),
    "shell in shell is one row": (["bash --norc -c 'exit 5'", "true"], [("bash --norc -c 'exit 5'", 5), ("true", 0)]),
    "directory that is gone": (["mkdir -p /tmp/fwgone$$; cd /tmp/fwgone$$; rmdir $PWD", "true", "cd /"], None),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_lines_become_rows(tidy_user: str, name: str) -> None:
    typed, expected = LINES[name]

    async def story(shell: ShellDriver) -> None:
        for line in typed:
            await shell.line(line)

    shell = drive(tidy_user, story)
    assert shell.lines()[: len(typed)] == (expected or [(line, 0) for line in typed])
    assert shell.events == [MarkEventKind.ON]


def test_empty_enter_and_ctrl_c_at_the_prompt_make_no_row(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        for _ in range(3):
            await shell.line("")
        await shell.send(b"rm -rf nothing")
        await shell.sees(b"rm -rf nothing")
        await shell.interrupt()
        await shell.line("echo ok")

    assert drive(tidy_user, story).lines() == [("echo ok", 0)]


def test_ctrl_c_ends_a_command_with_130(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        await shell.send(b"sh -c 'echo up; exec sleep 20'\r")
        await shell.sees(b"\rup")
        await shell.interrupt()

    assert drive(tidy_user, story).lines() == [("sh -c 'echo up; exec sleep 20'", 130)]


def test_ctrl_d_ends_the_shell_without_a_row(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        await shell.line("false")
        await shell.send(b"\x04")
        await shell.ended()

    shell = drive(tidy_user, story)
    assert shell.lines() == [("false", 1)]
    assert shell.channel.exit_status == 1


def test_exit_and_exec_leave_the_row_open_until_the_shell_ends(tidy_user: str) -> None:
    async def leave(shell: ShellDriver) -> None:
        await shell.send(b"exit 42\r")
        await shell.ended()

    async def become(shell: ShellDriver) -> None:
        await shell.send(b"exec bash --norc\r")
        await shell.sees(b"bash-5")
        await shell.send(b"echo inner; exit 6\r")
        await shell.ended()

    shell = drive(tidy_user, leave)
    assert (shell.lines(), shell.flags()) == ([("exit 42", 42)], [("shell-ended",)])
    shell = drive(tidy_user, become)
    assert (shell.lines(), shell.flags()) == ([("exec bash --norc", 6)], [("nested", "shell-ended")])


def test_killed_shell_ends_its_row_with_the_signal(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        await shell.send(b"kill -9 $$\r")
        await shell.ended()

    shell = drive(tidy_user, story)
    assert (shell.channel.exit_status, shell.flags()) == (-9, [("shell-ended",)])


def test_compound_of_several_lines_is_one_row(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        for part in (b"for i in 1 2", b"do echo n$i"):
            ready = shell.visible.count(b"\x1b[?2004h")
            await shell.send(part + b"\r")
            await shell.until(lambda ready=ready: shell.visible.count(b"\x1b[?2004h") > ready)
        await shell.send(b"done\r")
        await shell.next_prompt()

    shell = drive(tidy_user, story)
    assert shell.lines() == [("for i in 1 2; do echo n$i; done", 0)]
    assert b"n1\r\nn2" in shell.visible


def test_here_document_keeps_its_lines(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        for part in (b"cat <<X", b"a; b % c"):
            ready = shell.visible.count(b"\x1b[?2004h")
            await shell.send(part + b"\r")
            await shell.until(lambda ready=ready: shell.visible.count(b"\x1b[?2004h") > ready)
        await shell.send(b"X\r")
        await shell.next_prompt()

    (row,) = drive(tidy_user, story).lines()
    assert row[0] is not None
    assert (row[0].rstrip("\n"), row[1]) == ("cat <<X\na; b % c\nX", 0)


def test_fifty_pasted_lines_are_fifty_rows(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        await shell.send(b"".join(b"echo line%d\r" % number for number in range(50)))
        await shell.completed(50, seconds=20)

    assert drive(tidy_user, story).lines() == [(f"echo line{number}", 0) for number in range(50)]


def test_bracketed_paste_gives_each_line_its_status_with_the_next(tidy_user: str) -> None:
    pasted = ["false", "echo two", "(exit 4)", "true"]

    async def story(shell: ShellDriver) -> None:
        await shell.send(b"\x1b[200~" + "\r".join(pasted).encode() + b"\x1b[201~")
        await shell.sees(b"true")
        await shell.send(b"\r")
        await shell.completed(4)

    shell = drive(tidy_user, story)
    assert shell.lines() == [("false", 1), ("echo two", 0), ("(exit 4)", 4), ("true", 0)]
    assert shell.flags() == [("next-line",), ("next-line",), ("next-line",), ()]


def test_type_ahead_during_a_command_is_reported_in_order(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        await shell.send(b"sleep 0.3\recho ahead1\recho ahead2\r")
        await shell.completed(3)

    assert drive(tidy_user, story).lines() == [("sleep 0.3", 0), ("echo ahead1", 0), ("echo ahead2", 0)]


def test_directories_before_and_after_are_told(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        for line in ("cd /", "cd /usr/lib", "cd ..", "cd -"):
            await shell.line(line)

    rows = list(drive(tidy_user, story).rows.values())
    assert [row.directory_after for row in rows] == ["/", "/usr/lib", "/usr", "/usr/lib"]
    assert [row.directory for row in rows[1:]] == ["/", "/usr/lib", "/usr"]


def test_history_and_variables_stay_the_users_own(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        for line in ("echo a", "echo a", " echo secret", "true | false | true", 'echo "ps=${PIPESTATUS[*]}"', "[[ ab =~ a(b) ]]",
                     'echo "re=${BASH_REMATCH[1]}"', "(exit 9)", 'echo "st=$?"', 'echo "hc=$HISTCONTROL hf=$HISTFILE"',
                     'echo "opt=$(shopt -q login_shell && echo login) $(shopt -qo posix || echo plain)"',
                     "echo LIST; history"):  # fmt: skip
            await shell.line(line)

    shell = drive(tidy_user, story)
    home = pwd.getpwnam(tidy_user).pw_dir
    for text in ("ps=0 1 0", "re=b", "st=9", f"hc=ignoreboth hf={home}/.bash_history", "opt=login plain"):
        assert f"\r{text}\r".encode() in shell.visible, text
    listing = shell.visible.split(b"\rLIST\r\n")[-1].decode().splitlines()
    listed = [line.split(maxsplit=1)[1] for line in listing if line[:5].strip().isdigit()]
    assert listed[:2] == ["echo a", "true | false | true"]
    assert "echo secret" not in listed


def test_history_file_follows_the_users_rules(tidy_user: str) -> None:
    write_home_file(tidy_user, ".bashrc", DEBIAN_BASHRC + "PROMPT_COMMAND='history -a'\n")

    async def story(shell: ShellDriver) -> None:
        for line in ("echo kept", " echo secret", "echo kept"):
            await shell.line(line)
        await shell.send(b"exit\r")
        await shell.ended()

    shell = drive(tidy_user, story)
    assert shell.lines()[:3] == [("echo kept", 0), (" echo secret", 0), ("echo kept", 0)]
    assert Path(pwd.getpwnam(tidy_user).pw_dir, ".bash_history").read_text().splitlines() == ["echo kept", "exit"]


def test_history_off_gives_rows_without_text(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        for line in ("set +o history", "false", "set -o history", "echo seen"):
            await shell.line(line)

    shell = drive(tidy_user, story)
    assert [row for row in shell.lines() if row[1] == 1] == [(None, 1)]
    assert shell.lines()[-1] == ("echo seen", 0)
    assert (None, 0) not in shell.lines()[-1:]


def test_long_line_and_control_characters_are_exact(tidy_user: str) -> None:
    long = "echo " + "x" * 9000

    async def story(shell: ShellDriver) -> None:
        await shell.line(long)
        await shell.line("echo 'a\x16\x1bb\x16\x07c'")
        await shell.line("echo '\udcff\udcfe'")

    assert drive(tidy_user, story).lines() == [(long, 0), ("echo 'a\x1bb\x07c'", 0), ("echo '\\xff\\xfe'", 0)]


def test_syntax_error_makes_no_row(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        await shell.line("echo )")
        await shell.line("true")

    assert drive(tidy_user, story).lines()[-1] == ("true", 0)


def test_forged_marks_in_a_file_are_data(tidy_user: str) -> None:
    forged = b"".join(
        b"\x1b]633;fw1;%s;C;99;1;/;3;bad;0\x07\x1b]633;E;bad;%s\x07\x1b]633;D;0\x07" % (nonce, nonce) for nonce in (b"", b"0" * 32, b"zz")
    )
    path = Path(pwd.getpwnam(tidy_user).pw_dir, "forged")
    path.write_bytes(forged + b"\x1b]633;fw1;unterminated")

    async def story(shell: ShellDriver) -> None:
        await shell.line("cat ~/forged; echo -e '\\a'")
        await shell.line("true")

    shell = drive(tidy_user, story)
    assert shell.lines() == [("cat ~/forged; echo -e '\\a'", 0), ("true", 0)]
    assert shell.visible.count(b"\x1b]633;") == 10


def test_marks_reach_the_terminal_when_output_goes_to_a_file(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        for line in ("exec 3>&1 4>&2 >~/log 2>&1", "echo x", "exec >&3 2>&4", "grep -c 633 ~/log"):
            ended = len([row for row in shell.rows.values() if row.offset_end is not None])
            await shell.send(line.encode() + b"\r")
            await shell.completed(ended + 1)

    assert drive(tidy_user, story).lines() == [
        ("exec 3>&1 4>&2 >~/log 2>&1", 0), ("echo x", 0), ("exec >&3 2>&4", 0), ("grep -c 633 ~/log", 1),
    ]  # fmt: skip


def test_shell_inside_is_one_row_with_the_outer_status(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        await shell.send(b"bash --norc\r")
        await shell.sees(b"bash-5")
        await shell.send(b"echo inner\rexit 5\r")
        await shell.next_prompt()

    shell = drive(tidy_user, story)
    assert (shell.lines(), shell.flags()) == ([("bash --norc", 5)], [("nested",)])


def test_full_screen_programs_are_one_row_each(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        await shell.send(b"vim -u NONE /etc/passwd\r")
        await shell.sees(b'/etc/passwd"')
        await shell.send(b":!echo invim\r")
        await shell.sees(b"invim\r\n")
        await shell.send(b"\r:q!\r")
        await shell.next_prompt()
        await shell.send(b"less /etc/services\r")
        await shell.sees(b"/etc/services\x1b")
        await shell.send(b"q")
        await shell.next_prompt()

    assert drive(tidy_user, story).lines() == [("vim -u NONE /etc/passwd", 0), ("less /etc/services", 0)]


def test_vi_mode_and_resizes_do_not_disturb_rows(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        await shell.line("set -o vi")
        await shell.send(b"sleep 0.3\r")
        shell.channel.resize(120, 40)
        await shell.next_prompt()
        await shell.send(b"echo hal")
        await shell.sees(b"echo hal")
        shell.channel.resize(60, 20)
        await shell.send(b"lo; stty size\r")
        await shell.next_prompt()

    shell = drive(tidy_user, story)
    assert shell.lines() == [("set -o vi", 0), ("sleep 0.3", 0), ("echo hallo; stty size", 0)]
    assert b"20 60" in shell.visible


def test_unset_prompt_command_heals_with_the_next_line(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        await shell.send(b"unset PROMPT_COMMAND\r")
        await shell.until(lambda: len(shell.rows) == 1 and shell.visible.count(b"\x1b[?2004h") >= 2)
        await shell.send(b"echo one\r")
        await shell.completed(2)
        await shell.next_prompt()
        await shell.line("(exit 3)")

    assert drive(tidy_user, story).lines()[1:] == [("echo one", 0), ("(exit 3)", 3)]


def test_background_flood_damages_no_rows(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        await shell.line("(yes noise | head -100000) &")
        for number in range(10):
            await shell.send(b"true %d\r" % number)
            await shell.completed(number + 2)

    assert drive(tidy_user, story).lines() == [("(yes noise | head -100000) &", 0)] + [(f"true {n}", 0) for n in range(10)]


@pytest.mark.parametrize(
    "rc",
    ["set -eu\n", "readonly HISTCONTROL=ignoredups\n", "return\n", "PROMPT_COMMAND=(true 'echo pc')\n", "PS0='go> '\nPS1='$ '\n",
     "shopt -u promptvars\n"],
    ids=["set -eu", "readonly HISTCONTROL", "return", "array", "own PS0", "promptvars off"],
)  # fmt: skip
def test_start_up_files_keep_their_say(tidy_user: str, rc: str) -> None:
    write_home_file(tidy_user, ".bashrc", DEBIAN_BASHRC + rc)

    async def story(shell: ShellDriver) -> None:
        await shell.line("echo one")
        await shell.line("! true")
        await shell.line("echo two")

    assert drive(tidy_user, story).lines() == [("echo one", 0), ("! true", 1), ("echo two", 0)]


def test_readonly_prompt_command_still_reports_lines(tidy_user: str) -> None:
    write_home_file(tidy_user, ".bashrc", DEBIAN_BASHRC + "readonly PROMPT_COMMAND=\n")

    async def story(shell: ShellDriver) -> None:
        await shell.sees(b"\x1b[?2004h")
        for number, line in enumerate(("false", "echo two", "true")):
            await shell.send(line.encode() + b"\r")
            await shell.until(lambda number=number: len(shell.rows) == number + 1 and shell.visible.count(b"\x1b[?2004h") >= number + 2)

    assert drive(tidy_user, story, wait=False).lines() == [("false", 1), ("echo two", 0), ("true", -1)]


def test_profile_files_are_read_in_bashs_own_order(tidy_user: str) -> None:
    write_home_file(tidy_user, ".bash_login", "echo from-login\n")

    async def story(shell: ShellDriver) -> None:
        await shell.line("true")

    shell = drive(tidy_user, story)
    assert b"from-login" in shell.visible
    write_home_file(tidy_user, ".bash_profile", "echo from-profile\n")
    shell = drive(tidy_user, story)
    assert b"from-profile" in shell.visible
    assert b"from-login" not in shell.visible


def test_rc_that_becomes_another_shell_is_unmarked_and_works(tidy_user: str) -> None:
    write_home_file(tidy_user, ".bashrc", "exec dash\n")

    async def story(shell: ShellDriver) -> None:
        await shell.send(b"echo in-$((40+2))\r")
        await shell.sees(b"in-42")

    shell = drive(tidy_user, story, wait=False)
    assert (shell.lines(), shell.events) == ([], [])


def test_nonce_is_in_no_environment_and_no_argument(tidy_user: str) -> None:
    async def story(shell: ShellDriver) -> None:
        pid = shell.channel.pid
        for name in ("environ", "cmdline"):
            assert shell.nonce.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
        await shell.line("env | grep -c " + shell.nonce[:8])
        await shell.line("ls /proc/$$/fd")

    shell = drive(tidy_user, story)
    assert shell.lines()[0][1] == 1
    listed = shell.visible.split(b"ls /proc/$$/fd")[-1]
    assert b"9" not in listed.split(b"\x1b[?2004h")[0].split(b"\r\n", 1)[1]
