"""The machine's own policy file: what no grant can overrule. Owned by the machine's administrator, read at every decision.

    consent = "server"                 # here: this machine must approve in addition
    never = ["files", "terminal.admin"]  # channel kinds, or scopes that are refused whatever the grant says
    hours = "08:00-18:00"              # local time; sessions open only then (may pass midnight)
    days = ["mon", "tue", "wed", "thu", "fri"]
    sessions_per_hour = 6
    require_approval_from = ["SHA256:…"]  # keys of approvers whose signatures a grant must carry

A file that cannot be read or has a word that is not known refuses everything: a rule nobody understood must not be skipped.
"""

import os
import re
import stat
import tomllib
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, cast

from agents.errors import PolicyRefusal
from agents.protocol.messages import ChannelKind, ConsentPlace
from agents.protocol.scopes import InvalidScope, covers, parse_scope
from agents.state_folder import StateFolder

POLICY_FILE = "policy.toml"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]|24):([0-5][0-9])")
_WORDS = {"consent", "never", "hours", "days", "sessions_per_hour", "require_approval_from"}


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules as read. `hours` are minutes of the day, from and until; None = no rule."""

    consent: ConsentPlace = ConsentPlace.SERVER
    never: tuple[str, ...] = ()
    hours: tuple[int, int] | None = None
    days: tuple[int, ...] | None = None
    sessions_per_hour: int | None = None
    require_approval_from: tuple[str, ...] = ()

    def check_session(self, *, local_time: datetime, sessions_last_hour: int) -> None:
        """Raise PolicyRefusal unless a session may begin at this local time. Called when opening and when a grant is used."""
        if self.consent is ConsentPlace.HERE:
            raise PolicyRefusal("This machine must approve in addition, and this version of the agent cannot ask yet.")
        if self.require_approval_from:
            raise PolicyRefusal("This machine requires approvals signed by keys of its own, and no such approval can be given yet.")
        if self.days is not None and local_time.weekday() not in self.days:
            raise PolicyRefusal("This machine's policy allows no session on this day of the week.")
        if self.hours is not None and not _is_within(local_time.time(), self.hours):
            raise PolicyRefusal("This machine's policy allows no session at this time of day.")
        if self.sessions_per_hour is not None and sessions_last_hour >= self.sessions_per_hour:
            raise PolicyRefusal(f"This machine's policy allows {self.sessions_per_hour} sessions an hour, and they are used up.")

    def check_action(self, kind: ChannelKind, action: str) -> None:
        """Raise PolicyRefusal when the kind of channel, or the action written as a scope, is under `never`."""
        rules = [rule for rule in self.never if rule not in _KINDS]
        includes_forbidden = any(covers([action], rule) for rule in rules)
        lies_in_forbidden_path = covers([rule for rule in rules if rule.startswith("files.")], action)
        if kind.value in self.never or includes_forbidden or lies_in_forbidden_path:
            raise PolicyRefusal(f"This machine's policy never allows {action}.")


_KINDS = frozenset(kind.value for kind in ChannelKind)


def read_policy(folder: StateFolder) -> Policy:
    """Read the policy file; without one, the defaults. Raises PolicyRefusal when it cannot be trusted or understood."""
    path = folder.path / POLICY_FILE
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return Policy()
    except OSError as exc:
        raise PolicyRefusal(f"The policy of this machine cannot be read: {exc.strerror}.") from exc
    if not stat.S_ISREG(facts.st_mode) or stat.S_IMODE(facts.st_mode) & 0o022:
        raise PolicyRefusal("The policy of this machine can be changed by other users; run: chmod go-w policy.toml")
    if hasattr(os, "geteuid") and facts.st_uid not in (0, os.geteuid()):
        raise PolicyRefusal("The policy of this machine belongs to another user.")
    try:
        return parse_policy(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise PolicyRefusal(f"The policy of this machine cannot be read: {exc.strerror}.") from exc


def parse_policy(text: str) -> Policy:
    """Read the rules from TOML. Raises PolicyRefusal."""
    try:
        values = tomllib.loads(text)
        unknown = set(values) - _WORDS
        if unknown:
            raise ValueError(f"{sorted(unknown)[0]} is no rule")
        return Policy(
            consent=ConsentPlace(values.get("consent", "server")),
            never=_read_never(values.get("never", [])),
            hours=_read_hours(values.get("hours")),
            days=_read_days(values.get("days")),
            sessions_per_hour=_read_count(values.get("sessions_per_hour")),
            require_approval_from=_read_names(values.get("require_approval_from", [])),
        )
    except (ValueError, TypeError) as exc:
        raise PolicyRefusal(f"The policy of this machine is not understood: {exc}.") from exc


def write_first_policy(folder: StateFolder, *, consent: ConsentPlace) -> None:
    """Write the file at enrolment, with the rules explained; an existing file stays as it is."""
    if (folder.path / POLICY_FILE).exists():
        return
    explained = "".join(f"# {line.strip()}\n" for line in (__doc__ or "").split("\n\n")[1].splitlines()[1:])
    text = (
        "# What this machine allows, whatever a grant says. Read at every decision; a mistake here refuses everything.\n"
        f'consent = "{consent.value}"\n{explained}'
    )
    folder.write(POLICY_FILE, text.encode("utf-8"))


def _read_names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in cast("list[Any]", value)):
        raise ValueError("a list of texts is expected")
    return tuple(cast("list[str]", value))


def _read_never(value: Any) -> tuple[str, ...]:
    names = _read_names(value)
    for name in names:
        if name not in _KINDS:
            try:
                parse_scope(name)
            except InvalidScope as exc:
                raise ValueError("never names something that is neither a kind of channel nor a scope") from exc
    return names


def _read_hours(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('hours are written "08:00-18:00"')
    numbers = [int(part) for part in found.groups()]
    return numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]


def _read_days(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    return tuple(_DAYS.index(name) for name in _read_names(value))


def _read_count(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("sessions_per_hour is a whole number")
    return value


def _is_within(moment: time, hours: tuple[int, int]) -> bool:
    minute = moment.hour * 60 + moment.minute
    start, end = hours
    return start <= minute < end if start <= end else minute >= start or minute < end
