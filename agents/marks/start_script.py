"""How a shell is started so that it reports its command lines by marks; other shells start normally, without.

The script with the nonce travels through a pipe on descriptor 9, never through arguments or environment, where any user
of the machine, or every child of the shell, could read it. The scripts themselves lie beside this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

SCRIPT_DESCRIPTOR = 9
"""Where the started shell finds its script; one digit, since POSIX shells redirect no other."""

# Login shells that understand `-l`. Anything else in passwd is started by its bare name.
_LOGIN_FLAG_SHELLS = frozenset({"ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "rbash", "sh", "tcsh", "yash", "zsh"})
_NONCE = re.compile(r"[0-9a-f]{16,128}\Z")


@dataclass(frozen=True, slots=True)
class ShellStart:
    """Arguments after the program, extra environment, and the script for descriptor 9 (None: unmarked)."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    script: bytes | None

    @property
    def marked(self) -> bool:
        return self.script is not None


def plan_shell_start(shell_name: str, *, marks_nonce: str | None) -> ShellStart:
    """Decide how the login shell called ``shell_name`` (its file name) is started.

    ``marks_nonce`` is lower-case hex, 16 to 128 digits; None asks for no marks.

    Raises:
        ValueError: the nonce has another form, and would be code in the script.
    """
    if marks_nonce is not None and not _NONCE.match(marks_nonce):
        raise ValueError("a marks nonce is 16 to 128 lower-case hex digits")
    if marks_nonce is not None and shell_name == "bash":
        return ShellStart(
            arguments=("--posix", "-l"),
            environment={"ENV": f"/dev/fd/{SCRIPT_DESCRIPTOR}"},
            script=_bash_script(marks_nonce),
        )
    arguments = ("-l",) if shell_name in _LOGIN_FLAG_SHELLS else ()
    return ShellStart(arguments=arguments, environment={}, script=None)


def _bash_script(nonce: str) -> bytes:
    lines = [f"_fw_nonce={nonce}"]
    for name in ("bash_hooks.sh", "bash_login.sh"):
        text = resources.files("agents.marks").joinpath(name).read_text(encoding="utf-8")
        lines += [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return ("\n".join(lines) + "\n").encode()
