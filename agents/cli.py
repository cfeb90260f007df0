"""The command `fernwart-agent`: arguments, output, exit codes (sysexits). What the commands do is in the modules they call."""

import argparse
import asyncio
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from agents.channels.shell import open_shell
from agents.enrolment import enrol, prepare_enrolment
from agents.errors import AgentError, ConfigurationError
from agents.hosts.systemd import install_unit, make_unit
from agents.identity import get_identity
from agents.local_socket import ask_local_agent
from agents.protocol.errors import MalformedMessage
from agents.protocol.messages import ConsentPlace, HostClass
from agents.protocol.tokens import parse_enrolment_token
from agents.service import describe_offline, run_agent
from agents.state_folder import StateFolder, default_state_folder

EX_USAGE = 64
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit code."""
    raise SystemExit(run_command(sys.argv[1:] if arguments is None else arguments))


def run_command(arguments: Sequence[str]) -> int:
    """Run the command; errors go to standard error in one line."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    logging.getLogger("websockets").setLevel(logging.WARNING)
    try:
        return options.command(options)
    except AgentError as exc:
        print(f"fernwart-agent: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fernwart-agent", description="Lets this machine be supported, with consent, by one Fernwart server.")
    common = _Parser(add_help=False)
    common.add_argument("--state", type=Path, default=default_state_folder(), help="folder of key, policy and state")
    common.add_argument("--verbose", action="store_true", help="say more on standard error")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)

    enroll = commands.add_parser("enroll", parents=[common], help="introduce this machine to a server")
    enroll.add_argument("url", metavar="URL", help="address of the server, as https://desk.example.org")
    enroll.add_argument("token", metavar="TOKEN", help="enrolment token, - for standard input, @FILE for a file")
    enroll.add_argument("--class", dest="host_class", choices=[one.value for one in HostClass], default="server")
    enroll.add_argument("--consent", choices=[one.value for one in ConsentPlace], default="server")
    enroll.add_argument("--ca", default="", metavar="FILE", help="certificates to trust instead of the system's")
    enroll.add_argument("--json", action="store_true", help="print one JSON object")
    enroll.set_defaults(command=_enroll)

    run = commands.add_parser("run", parents=[common], help="serve in the foreground")
    run.set_defaults(command=_run)

    status = commands.add_parser("status", parents=[common], help="show server, link and sessions")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.set_defaults(command=_status)

    stop = commands.add_parser("stop", parents=[common], help="end a session, or all of them, now")
    stop.add_argument("session", metavar="ID", nargs="?", default="", help="session to end; all without it")
    stop.set_defaults(command=_stop)

    install = commands.add_parser("install", parents=[common], help="run as a systemd service from now on")
    install.add_argument("--print", action="store_true", dest="only_print", help="print the unit file and change nothing")
    install.set_defaults(command=_install)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose exit code for wrong use is that of sysexits."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def _enroll(options: argparse.Namespace) -> int:
    try:
        token = parse_enrolment_token(_read_token(options.token))
    except MalformedMessage as exc:
        raise ConfigurationError(f"{str(exc)[0].upper()}{str(exc)[1:]}.") from exc
    folder, key, record = prepare_enrolment(
        options.state,
        options.url,
        token,
        host_class=HostClass(options.host_class),
        consent=ConsentPlace(options.consent),
        ca_file=options.ca,
    )
    outcome = asyncio.run(enrol(folder, key, record, token))
    if options.json:
        shown = {"endpoint_id": outcome.endpoint_id, "fingerprint": outcome.fingerprint, "accepted": outcome.accepted}
        print(json.dumps(shown))
        return 0
    print(f"Fingerprint of this agent: {outcome.fingerprint}")
    if outcome.accepted:
        print("The server has accepted this machine.")
    else:
        print("The server waits until a technician has compared the fingerprint and accepts this machine.")
    print("Now start the agent: fernwart-agent run, or as a service: fernwart-agent install")
    return 0


def _read_token(argument: str) -> str:
    """Return the token from the argument, standard input (-) or a file (@FILE)."""
    if argument == "-":
        return sys.stdin.readline(1000)
    if argument.startswith("@"):
        try:
            return Path(argument[1:]).read_text(encoding="utf-8")[:1000]
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigurationError(f"The token cannot be read from {argument[1:]}.") from exc
    return argument


def _run(options: argparse.Namespace) -> int:
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        runner.run(run_agent(StateFolder.open(options.state), open_shell=open_shell))
    return 0


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's loop, which takes half the time for a key; None, Python's own, where it is not there."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _status(options: argparse.Namespace) -> int:
    folder = StateFolder.open(options.state)
    key, record = get_identity(folder)
    status = ask_local_agent(folder, {"command": "status"}) or describe_offline(folder, key, record)
    if options.json:
        print(json.dumps(status))
    else:
        _print_status(status)
    return 0 if status["running"] else EX_UNAVAILABLE


def _print_status(status: dict[str, Any]) -> None:
    print(f"Server:       {status['server']} (key {status['server_fingerprint']})")
    print(f"This agent:   {status['fingerprint']}, class {status['class']}")
    link = "the agent does not run" if not status["running"] else status["link"]
    print(f"Link:         {link}{': ' + status['problem'] if status['problem'] else ''}")
    protection = "yes" if status["protected"] else "no: shells run as the agent's own user and share its identity"
    print(f"Protected:    {protection}")
    if status["policy_problem"]:
        print(f"Policy:       refuses everything. {status['policy_problem']}")
    else:
        print(f"Consent:      {status['consent']}")
    if not status["sessions"]:
        print("Sessions:     none")
    for session in status["sessions"]:
        print(f"Session {session['session_id']}: ticket {session['ticket']}, {session['technician']} as {session['user']},")
        print(f"  allowed by {session['approver']}: {', '.join(session['scopes'])}; {session['seconds_left'] // 60} min left,")
        print(f"  {len(session['channels'])} open; end it: fernwart-agent stop {session['session_id']}")


def _stop(options: argparse.Namespace) -> int:
    folder = StateFolder.open(options.state)
    answer = ask_local_agent(folder, {"command": "stop", "session_id": options.session})
    if answer is None:
        print("The agent does not run; no session is open.")
        return 0
    if "error" in answer:
        print(f"fernwart-agent: {answer['error']}", file=sys.stderr)
        return EX_SOFTWARE
    ended = answer["ended"]
    if options.session and not ended:
        print(f"fernwart-agent: No session {options.session} is open here; see fernwart-agent status.", file=sys.stderr)
        return EX_UNAVAILABLE
    print(f"Ended: {', '.join(ended)}" if ended else "No session was open.")
    return 0


def _install(options: argparse.Namespace) -> int:
    state = options.state.absolute()
    program = shutil.which("fernwart-agent") or str(Path(sys.argv[0]).absolute())
    unit = make_unit(program, state)
    if options.only_print:
        print(unit, end="")
        return 0
    if os.geteuid() != 0:
        raise ConfigurationError("Installing the service needs root; run it with sudo.")
    get_identity(StateFolder.open(state))
    print(f"Installed {install_unit(unit)}")
    return 0
