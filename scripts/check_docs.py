"""Check the documentation: every relative link leads to a file, every FERNWART_ name is a setting, every command exists.

``make docs`` and ``make lint`` run it. Exit 1 with one line for each thing that is wrong.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from typer.main import get_command

from orchestrator.core.settings import Settings
from web.cli import app

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
SETTING = re.compile(r"\bFERNWART_[A-Z_]+\b")
COMMAND = re.compile(r"(?:^|[`\s])fernwart ([a-z][a-z-]+)")
NOT_SETTINGS = {"FERNWART_CONFIG", "FERNWART_AGENT_STATE", "FERNWART_FORBID_SKIPS", "FERNWART_"}
NOT_COMMANDS = {"consists", "says", "is", "has", "the", "and"}


def check(path: Path, settings: set[str], commands: set[str]) -> list[str]:
    """Name what is wrong in one file."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT)
    wrong = [f"{name}: no file {target}" for target in LINK.findall(text)
             if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists()]
    wrong += [f"{name}: no setting {word}" for word in sorted(set(SETTING.findall(text))) if word not in settings | NOT_SETTINGS]
    wrong += [f"{name}: no command fernwart {word}" for word in sorted(set(COMMAND.findall(text))) if word not in commands | NOT_COMMANDS]
    return wrong


def main() -> int:
    settings = {f"FERNWART_{field.upper()}" for field in Settings.model_fields}
    commands = set(getattr(get_command(app), "commands", {}))
    files = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    wrong = [line for path in files for line in check(path, settings, commands)]
    for line in wrong:
        print(line)
    print(f"{len(files)} documents checked, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
