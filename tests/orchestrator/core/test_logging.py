"""What hostile text can do to a log: nothing."""

from __future__ import annotations

import structlog

from orchestrator.core.logging import _clean

LINK = "/consent/" + "s3cret" * 4


def test_secrets_and_control_characters_are_cleaned_at_any_depth() -> None:
    entry = _clean(None, "info", {"event": "request", "paths": [LINK, {"deep": (f"{LINK}\n2026 forged",)}], "count": 3})
    assert "s3cret" not in str(entry)
    assert entry["paths"] == ["/consent/***", {"deep": ["/consent/***\\u000a2026 forged"]}]
    assert entry["count"] == 3


def test_a_traceback_keeps_its_lines_and_cannot_forge_an_entry() -> None:
    try:
        raise ValueError(f"{LINK}\x1b[2J\r\n2026-01-01 [info] all is well")
    except ValueError as exc:
        entry = _clean(None, "error", structlog.processors.format_exc_info(None, "error", {"exc_info": exc}))
    lines = entry["exception"].split("\n")
    assert all(line.startswith("| ") for line in lines)
    assert "\x1b" not in entry["exception"] and "\r" not in entry["exception"] and "s3cret" not in entry["exception"]
    assert len(lines) > 3
