"""What all shapes of the API share: strict bodies, one page of a list, bounded texts. Times are ISO 8601 in UTC."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from orchestrator.core.text import storable

Item = TypeVar("Item", bound=BaseModel)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=500), AfterValidator(lambda text: storable(text) if text else text)]
Filter = Annotated[str | None, Query(max_length=300), AfterValidator(lambda text: storable(text) if text else text)]
"""A text or name to look for; empty is the same as left out."""

Identifier = Annotated[str, Field(min_length=1, max_length=40)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_not_blank)]
Line = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_not_blank)]
Text = Annotated[str, Field(max_length=200_000)]
SomeText = Annotated[str, Field(min_length=1, max_length=200_000), AfterValidator(_not_blank)]
Address = Annotated[str, Field(max_length=254)]


class Body(BaseModel):
    """What comes in. Unknown fields are an error, so that a misspelt one is not silently ignored; what no database can
    store in a text is replaced, as everywhere."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _storable(cls, value: object) -> object:
        if isinstance(value, str):
            return storable(value)
        if isinstance(value, list):
            return [storable(item) if isinstance(item, str) else item for item in value]
        return value


class Shape(BaseModel):
    """What goes out."""

    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[Item]):
    """One page of a list; ``next`` is the cursor of the following one, null on the last."""

    items: list[Item]
    next: str | None


class FieldProblem(BaseModel):
    field: str
    message: str


class Problem(BaseModel):
    """Problem details (RFC 9457). The end of ``type`` is a stable code; ``errors`` names the fields that cannot be used."""

    type: str
    title: str
    status: int
    detail: str | None = None
    field: str | None = None
    errors: list[FieldProblem] = []
