"""Drafts of articles: steps in Markdown, nobody's name in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.i18n import translator
from orchestrator.knowledge.markdown import render_markdown
from sessions.runbooks.drafts import DraftStep, replace_names, write_draft

WORDS = translator("en")
NAMES = {"srv-print-01": "HOST", "Muster GmbH": "CUSTOMER", "Erika": "CONTACT", "10.0.0.7": "ADDRESS", "ab": "NEVER"}


@pytest.mark.parametrize(("line", "replaced"), [
    ("ping SRV-print-01", "ping HOST"),
    ("ssh erika@srv-print-01.local", "ssh CONTACT@HOST.local"),
    ("echo erikas srv-print-012", "echo erikas srv-print-012"),
    ("curl http://10.0.0.7/", "curl http://ADDRESS/"),
    ("grep 'muster gmbh' /etc/motd", "grep 'CUSTOMER' /etc/motd"),
    ("cab ab", "cab ab"),
])
def test_names_are_replaced_as_whole_words_whatever_their_case(line: str, replaced: str) -> None:
    assert replace_names(line, NAMES) == replaced


def test_without_names_nothing_is_replaced() -> None:
    assert replace_names("ping x", {}) == "ping x"


def test_a_draft_is_a_numbered_list_of_blocks() -> None:
    body = write_draft([DraftStep("systemctl status cups", 3), DraftStep("chgrp -R lp cups", 0, "done\n")], {}, WORDS)
    assert body.startswith("1. Run:\n\n   ```sh\n   systemctl status cups\n   ```\n")
    assert "It ended with status 3." in body
    assert "2. Run:" in body
    assert "   ```text\n   done\n   ```" in body


def test_the_tenth_step_is_still_inside_its_list_item() -> None:
    html = render_markdown(write_draft([DraftStep(f"echo {number}", 0) for number in range(12)], {}, WORDS))
    assert html.count("<li>") == 12
    assert html.count("<pre>") == 12
    assert html.count("<ol") == 1


@given(st.text(alphabet="`ab \n#-*<>&", min_size=1, max_size=60))
def test_no_output_breaks_out_of_its_block(output: str) -> None:
    html = render_markdown(write_draft([DraftStep("x", 0, output)], {}, WORDS))
    assert html.count("<pre>") == (2 if output.strip("\n") or output else 1)
    assert "<h" not in html
