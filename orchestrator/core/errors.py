"""The tree of errors. Domain code raises these and never knows HTTP; ``web/errors.py`` maps them, once.

    AppError
    ├── NotFound        does not exist, or is not yours: the two look the same
    ├── Forbidden       known who asks, and they may not
    ├── Conflict        the state of the thing does not allow it (now)
    ├── InvalidInput    outside data that cannot be used; names the field
    └── Unavailable     a part of the program is away or full; try again

An error holds data and speaks one English sentence fit for a technician; pages translate it.
"""

from __future__ import annotations


class AppError(Exception):
    """Say what went wrong in one sentence; ``values`` fill its placeholders (``{name}``) after translation."""

    code = "error"

    def __init__(self, sentence: str, /, **values: object) -> None:
        self.sentence = sentence
        self.values = values
        super().__init__(sentence.format(**values) if values else sentence)


class NotFound(AppError):
    code = "not_found"

    def __init__(self, sentence: str = "There is nothing here under that name, or it is not yours to see.", /, **values: object) -> None:
        super().__init__(sentence, **values)


class Forbidden(AppError):
    code = "forbidden"

    def __init__(self, sentence: str = "You do not have the right to do this.", /, **values: object) -> None:
        super().__init__(sentence, **values)


class Conflict(AppError):
    code = "conflict"


class InvalidInput(AppError):
    """``field`` names the input it is about, for the form or the API's problem details."""

    code = "invalid_input"

    def __init__(self, sentence: str, /, *, field: str | None = None, **values: object) -> None:
        super().__init__(sentence, **values)
        self.field = field


class Unavailable(AppError):
    """``retry_after_seconds`` is a hint for the caller."""

    code = "unavailable"

    def __init__(self, sentence: str, /, *, retry_after_seconds: int = 5, **values: object) -> None:
        super().__init__(sentence, **values)
        self.retry_after_seconds = retry_after_seconds
