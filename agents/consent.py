"""The machine's own answer to a request for consent. Prompts come with a later release; until then nobody here can say yes."""

from agents.protocol.messages import AskConsent, Consent, Decision
from agents.protocol.signatures import hash_document


def answer_request(message: AskConsent) -> Consent:
    """Answer that this machine cannot ask anybody, which counts as a no."""
    return Consent(
        request_sha256=hash_document(message.request),
        decision=Decision.UNAVAILABLE,
        reason="This version of the agent cannot ask a person at the machine.",
    )
