"""The agent's signed words about closed channels, kept durably until the server says that it has stored them."""

import json

from agents.errors import StateError
from agents.state_folder import StateFolder

_FILE = "words.json"
_MOST_WORDS = 1000


class WordStore:
    """Words by channel id. Blocking: call from a thread; beyond 1000 unclaimed words the oldest go."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        raw = folder.read(_FILE)
        try:
            self._words: dict[str, tuple[str, str]] = (
                {} if raw is None else {key: (value[0], value[1]) for key, value in json.loads(raw).items()}
            )
        except (ValueError, AttributeError, LookupError, TypeError) as exc:
            raise StateError(f"{_FILE} in the state folder is damaged; move it away.") from exc

    def keep(self, channel_id: str, session_id: str, word: str) -> None:
        """Store a word. Raises StateError."""
        self._words[channel_id] = (session_id, word)
        while len(self._words) > _MOST_WORDS:
            del self._words[next(iter(self._words))]
        self._save()

    def drop(self, channel_id: str) -> None:
        """Forget a word that the server has."""
        if self._words.pop(channel_id, None) is not None:
            self._save()

    def list_words(self) -> list[tuple[str, str, str]]:
        """Return (channel id, session id, word) of all that are kept."""
        return [(channel_id, session_id, word) for channel_id, (session_id, word) in self._words.items()]

    def _save(self) -> None:
        self._folder.write(_FILE, json.dumps(self._words).encode("ascii"))
