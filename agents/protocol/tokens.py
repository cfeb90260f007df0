"""The enrolment token `id.secret.server-key-fingerprint`, as it is printed, typed and piped."""

import re
from dataclasses import dataclass

from agents.protocol.errors import MalformedMessage

_TOKEN = re.compile(r"([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{16,128})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """One use, bound to an organisation and to the server's operational key."""

    token_id: str
    secret: str
    server_fingerprint: str

    def __repr__(self) -> str:
        return f"EnrolmentToken({self.token_id})"

    @property
    def text(self) -> str:
        """The printed form; the fingerprint without `SHA256:` and in the alphabet that needs no quoting in a shell."""
        short = self.server_fingerprint.removeprefix("SHA256:").replace("+", "-").replace("/", "_")
        return f"{self.token_id}.{self.secret}.{short}"


def parse_enrolment_token(text: str) -> EnrolmentToken:
    """Read the printed form. Raises MalformedMessage."""
    found = _TOKEN.fullmatch(text.strip())
    if found is None:
        raise MalformedMessage("enrolment token is incomplete; copy the whole line that the server printed")
    token_id, secret, short = found.groups()
    return EnrolmentToken(token_id, secret, "SHA256:" + short.replace("-", "+").replace("_", "/"))
