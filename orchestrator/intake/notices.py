"""What intake says on a ticket about itself, in English, marked for translation.

Here: the sentences by code. They are shown by the pages as those of `tickets/notices.py` are.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.i18n import _
from orchestrator.intake.mail.loops import Suppression

SUPPRESSED: Mapping[Suppression, str] = {
    Suppression.NO_ADDRESS: _("There is no address to send it to."),
    Suppression.NULL_RETURN_PATH: _("The mail has no return path: a program sent it."),
    Suppression.BOUNCE: _("The mail reports a failed delivery."),
    Suppression.AUTO_SUBMITTED: _("A program wrote the mail."),
    Suppression.LIST_MAIL: _("The mail came over a mailing list."),
    Suppression.RESPONSE_SUPPRESSED: _("The mail asks for no automatic answer."),
    Suppression.LOOP_MARK: _("The mail carries the mark of a mail loop."),
    Suppression.DAEMON: _("The sender is a program, not a person."),
    Suppression.OWN_ADDRESS: _("The mail claims to come from an address of this desk."),
    Suppression.OWN_MESSAGE: _("The mail is one of ours that came back."),
    Suppression.NOT_VERIFIED: _("The sender could not be verified."),
}
"""Why no automatic answer was sent."""
