"""Whether this agent is protected, and which accounts it may open shells for and whether those can become root.

Protected (remote.md 4): runs as root, state and policy are root-only. The rules of login itself are in hosts/accounts.py.
"""

import grp
import os
import pwd
import stat
from pathlib import Path

from agents.errors import ShellError
from agents.hosts.accounts import find_account
from agents.protocol.messages import UserFacts

ROOT_GROUPS = frozenset({"root", "sudo", "wheel", "admin", "docker", "lxd", "incus-admin", "disk", "shadow"})
"""Groups whose members can become root, or read what makes them root."""

_FIRST_PERSON_UID = 1000
_LAST_PERSON_UID = 60000
_MOST_USERS = 64


def is_protected(*paths: Path) -> bool:
    """Tell whether we run as root and nobody else can write these paths or replace a folder above them."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    return all(_is_root_only(path.absolute()) for path in paths if path.exists())


def own_user_name() -> str:
    """Name of the account this process runs as (its number when it has no name)."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def may_become_root(user: str) -> bool:
    """Tell whether an account is root or in a group that can become root. An account that cannot be read counts as one."""
    try:
        entry = pwd.getpwnam(user)
        groups = os.getgrouplist(user, entry.pw_gid)
    except (KeyError, OSError):
        return True
    if entry.pw_uid == 0:
        return True
    for group_id in groups:
        try:
            name = grp.getgrgid(group_id).gr_name
        except KeyError:
            continue
        if group_id == 0 or name in ROOT_GROUPS:
            return True
    return False


def describe_user(user: str) -> UserFacts:
    """Tell whether a shell may run as this account. May block (directory servers)."""
    try:
        find_account(user)
    except ShellError as exc:
        return UserFacts(name=user, login_allowed=False, may_become_root=may_become_root(user), reason=str(exc)[:200])
    return UserFacts(name=user, login_allowed=True, may_become_root=may_become_root(user))


def list_users() -> tuple[UserFacts, ...]:
    """Describe the accounts that people log in with: our own, and for root all others. May block."""
    own = own_user_name()
    names = [own]
    if os.geteuid() == 0:
        names += [
            entry.pw_name for entry in pwd.getpwall() if _FIRST_PERSON_UID <= entry.pw_uid < _LAST_PERSON_UID and entry.pw_name != own
        ]
    facts = (describe_user(name) for name in names[:_MOST_USERS] if _is_plain_name(name))
    return tuple(one for one in facts if one.login_allowed)


def _is_plain_name(name: str) -> bool:
    return 0 < len(name) <= 64 and all(c.isascii() and (c.isalnum() or c in "._@+$-") for c in name)


def _is_root_only(path: Path) -> bool:
    facts = path.lstat()
    if facts.st_uid != 0 or stat.S_ISLNK(facts.st_mode) or stat.S_IMODE(facts.st_mode) & 0o022:
        return False
    for folder in path.parents:
        above = folder.lstat()
        writable = stat.S_IMODE(above.st_mode) & 0o022
        if above.st_uid != 0 or (writable and not above.st_mode & stat.S_ISVTX):
            return False
    return True
