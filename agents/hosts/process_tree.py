"""Finding and ending every process that a channel started, also those that tried to leave (Linux, through /proc).

A process belongs to a channel if it is the leader or a descendant of one that belongs, shares a session with one, carries
the channel's mark in its first environment, or sits in the channel's control group. Those that left all of these behind
(double fork, new session, clean environment) still become children of the agent when it is a sub-reaper
(`adopt_orphans`), which then counts them too. On systems without /proc only session and process group are known.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agents.hosts.control_group import ControlGroup

CHANNEL_VARIABLE = "FERNWART_CHANNEL"
_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.01
_KILL_ROUNDS = 40

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What /proc/PID/stat says; ``start_ticks`` tells a process from a later one with the same number."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start_ticks: int

    @property
    def runs(self) -> bool:
        return self.state not in "ZX"


class _Adoption:
    """Whether this process takes in orphans, and which of its children are leaders of open channels."""

    active = False
    leaders: set[int] = set()


def adopt_orphans(*, active: bool = True) -> bool:
    """Make this process the sub-reaper of everything its channels start; False where the system cannot (not Linux).

    For the agent's own program only: from then on every orphan in a foreign session counts as a channel's.
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        done = libc.prctl(_PR_SET_CHILD_SUBREAPER, int(active), 0, 0, 0) == 0
    except (OSError, AttributeError):
        done = False
    _Adoption.active = active and done
    return done


def reap_orphans() -> None:
    """Collect adopted processes that have ended. Leaders of channels are left to those who wait for them."""
    if not _Adoption.active:
        return
    own_session = os.getsid(0)
    for facts in list_processes():
        if facts.parent == os.getpid() and not facts.runs and facts.session != own_session and facts.pid not in _Adoption.leaders:
            with suppress(ChildProcessError):
                os.waitpid(facts.pid, os.WNOHANG)


def read_process(pid: int) -> ProcessFacts | None:
    """Read one process; None if there is none (any more)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The name in parentheses may hold anything, also spaces and parentheses.
    fields = text[text.rfind(b")") + 2 :].split()
    return ProcessFacts(pid, fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def list_processes() -> list[ProcessFacts]:
    """Read every process of the machine; empty without /proc."""
    try:
        names = [path.name for path in Path("/proc").iterdir()]
    except FileNotFoundError:
        return []
    return [facts for name in names if name.isdigit() and (facts := read_process(int(name))) is not None]


class ProcessTree:
    """All processes of one channel. The methods block (a few milliseconds each): call them in a thread."""

    def __init__(self, leader: int, *, mark: str, group: ControlGroup | None = None) -> None:
        self.leader = leader
        self._group = group
        self._needle = f"{CHANNEL_VARIABLE}={mark}".encode()
        self._leader_start = facts.start_ticks if (facts := read_process(leader)) else None
        self._seen: set[tuple[int, int]] = set()
        _Adoption.leaders.add(leader)

    def contains(self, pid: int) -> bool:
        """Tell whether ``pid`` belongs to the channel now."""
        return any(facts.pid == pid for facts in self.list_members())

    def list_members(self) -> list[ProcessFacts]:
        """List the running processes that belong to the channel."""
        everything = {facts.pid: facts for facts in list_processes()}
        ours = {pid for pid, facts in everything.items() if (pid, facts.start_ticks) in self._seen}
        leader = everything.get(self.leader)
        if leader is not None and leader.start_ticks == self._leader_start:
            ours.add(self.leader)
        if self._group is not None:
            ours.update(self._group.list_pids())
        ours.update(pid for pid, facts in everything.items() if facts.runs and self._carries_mark(pid))
        ours.update(self._find_strays(everything.values()))
        ours.discard(os.getpid())
        self._close_over(ours, everything)
        members = [everything[pid] for pid in ours if pid in everything and everything[pid].runs]
        self._seen.update((facts.pid, facts.start_ticks) for facts in members)
        return members

    def end(self, *, grace_seconds: float = 0.15) -> tuple[int, ...]:
        """End every member: hang-up and terminate, a short grace, then kill until none is left.

        Returns those that could not be ended (another user's process, when the agent is not root).
        """
        for facts in self.list_members():
            for number in (signal.SIGHUP, signal.SIGCONT, signal.SIGTERM):
                _send(facts.pid, number)
        deadline = time.monotonic() + grace_seconds
        while self.list_members() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        refused: set[int] = set()
        for _ in range(_KILL_ROUNDS):
            members = [facts for facts in self.list_members() if facts.pid not in refused]
            if not members:
                break
            # Stopped first, so that none can start another while the others are found.
            for number in (signal.SIGSTOP, signal.SIGKILL):
                refused.update(facts.pid for facts in members if not _send(facts.pid, number))
            if self._group is not None:
                self._group.kill()
            time.sleep(_POLL_SECONDS)
        survivors = tuple(facts.pid for facts in self.list_members())
        if survivors:
            logger.warning("processes of a channel could not be ended: %s", survivors)
        if self._group is not None:
            self._group.remove()
        _Adoption.leaders.discard(self.leader)
        reap_orphans()
        return survivors

    def _close_over(self, ours: set[int], everything: dict[int, ProcessFacts]) -> None:
        # Ours are whoever descends from ours, and whoever shares a session or group that one of ours leads or is in.
        own_session = os.getsid(0)
        # Its number is not given to another process while its session lives, but may be afterwards.
        leader = everything.get(self.leader)
        sessions = {self.leader} if leader is None or leader.start_ticks == self._leader_start else set[int]()
        grew = True
        while grew:
            before = len(ours)
            sessions.update(everything[pid].session for pid in ours if pid in everything)
            sessions -= {own_session, 0, 1}
            ours.update(pid for pid, facts in everything.items() if facts.parent in ours or facts.session in sessions)
            ours.discard(os.getpid())
            grew = len(ours) > before

    def _find_strays(self, everything: Iterable[ProcessFacts]) -> set[int]:
        if not _Adoption.active:
            return set()
        own_session = os.getsid(0)
        return {
            facts.pid
            for facts in everything
            if facts.parent == os.getpid()
            and facts.session != own_session
            and facts.pid not in _Adoption.leaders
            and len(_Adoption.leaders) <= 1
        }

    def _carries_mark(self, pid: int) -> bool:
        try:
            return self._needle in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False


def _send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; True unless it was refused."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True
