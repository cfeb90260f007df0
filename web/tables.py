"""Every table of the program, imported in one place: for migrations and for tests. Only the top sees them all."""

from orchestrator.accounts import models as accounts
from orchestrator.audit import models as audit
from orchestrator.core.db import Base, RecordBase
from orchestrator.customers import models as customers
from orchestrator.intake import models as intake
from orchestrator.knowledge import models as knowledge
from orchestrator.notifications import models as notifications
from orchestrator.search import models as search
from orchestrator.tickets import models as tickets
from sessions.consent import models as consent
from sessions.endpoints import models as endpoints
from sessions.lifecycle import models as lifecycle
from sessions.recording import models as recording

__all__ = [
    "Base", "RecordBase", "accounts", "audit", "consent", "customers", "endpoints", "intake", "knowledge", "lifecycle",
    "notifications", "recording", "search", "tickets",
]
