"""Answering a POST once: the same Idempotency-Key gets the first answer again, kept in the transaction of the change.

A key belongs to the person (or token) that used it and is remembered for a day. The same key with another body is an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from fastapi import Header, Request
from pydantic import BaseModel
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from starlette.responses import Response

from orchestrator.accounts.actor import Actor
from orchestrator.accounts.models import IdempotencyKey
from orchestrator.core.db import WriteUnit
from orchestrator.core.errors import Conflict
from orchestrator.core.ids import new_id

KEPT = timedelta(days=1)

KeyHeader = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]


def answer_once(unit: WriteUnit, actor: Actor, request: Request, key: str | None, body: BaseModel | None, make: Callable[[], BaseModel], *,
                status: int = 201, headers: dict[str, str] | None = None) -> Response:
    """Run ``make`` and answer with what it returns; with a key that was used before, answer as then.

    Raises:
        Conflict: the key was used for another request, or the first request with it is still at work.
    """
    if key is None:
        return _answer(make().model_dump_json().encode(), status, headers)
    owner = f"{actor.kind}:{actor.id}:{actor.token_id or ''}"[:80]
    asked = json.dumps([request.method, request.url.path, body.model_dump(mode="json") if body else None], sort_keys=True)
    request_hash = hashlib.sha256(asked.encode()).hexdigest()
    known = unit.db.scalar(select(IdempotencyKey).where(IdempotencyKey.owner == owner, IdempotencyKey.key == key))
    if known is not None and known.created_at > unit.now - KEPT:
        if known.request_hash != request_hash:
            raise Conflict("This Idempotency-Key was used for another request. Use a new one.")
        return _answer(known.body, known.status, {"Idempotency-Replayed": "true"})
    if known is not None:
        unit.db.execute(delete(IdempotencyKey).where(IdempotencyKey.id == known.id))
    content = make().model_dump_json().encode()
    unit.db.add(IdempotencyKey(id=new_id(), owner=owner, key=key, request_hash=request_hash, status=status, body=content, created_at=unit.now))
    try:
        unit.db.flush()
    except IntegrityError as exc:
        raise Conflict("A request with this Idempotency-Key is at work. Ask again in a moment.") from exc
    return _answer(content, status, headers)


def _answer(content: bytes, status: int, headers: dict[str, str] | None) -> Response:
    return Response(content, status_code=status, media_type="application/json", headers=headers)
