"""Answering a POST once: the same Idempotency-Key gets the first answer again, kept in the transaction of the change.

A key belongs to the person (or token) that used it and is remembered for a day. The same key with another request is an
error. A request that failed has changed nothing and is not remembered: it may be repeated with the same key. An answer that
holds a secret is kept sealed: the database alone does not give it away.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
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
from orchestrator.core.i18n import _
from orchestrator.core.ids import new_id
from orchestrator.notifications.sealing import seal, unseal
from web.api.conditions import etag_of

KEPT = timedelta(days=1)
SWEPT_AT_ONCE = 100

KeyHeader = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]


class KeyUsedOtherwise(Conflict):
    """The Idempotency-Key belongs to another request."""

    code = "idempotency_key_used"

    def __init__(self) -> None:
        super().__init__(_("This Idempotency-Key was used for another request. Use a new one."))


def answer_once(unit: WriteUnit, actor: Actor, request: Request, key: str | None, body: BaseModel | None, make: Callable[[], BaseModel], *,
                status: int = 201, sealed_in: Path | None = None) -> Response:
    """Run ``make`` and answer with what it returns; with a key that was used before, answer as then.

    Of two requests with the same key at once the second waits for the first. ``sealed_in`` is the data folder, for answers
    that hold a secret. Raises ``KeyUsedOtherwise``.
    """
    if key is None:
        return _answer(_written(make()), status)
    _sweep(unit)
    owner = f"{actor.kind}:{actor.id}:{actor.token_id or ''}"[:80]
    row = _claim(unit, owner, key, _hash(request, body))
    if row.status:
        content = row.body if sealed_in is None else _unseal(sealed_in, row)
        return _answer(content, row.status, replayed=True)
    content = _written(make())
    row.status = status
    row.body = content if sealed_in is None else seal(unit, {"answer": base64.b64encode(content).decode()}, label=row.id)
    unit.db.flush()
    return _answer(content, status)


def _claim(unit: WriteUnit, owner: str, key: str, request_hash: str) -> IdempotencyKey:
    """Return the key's row: a new one without a status, or that of the first request once it has committed."""
    mine = IdempotencyKey(id=new_id(), owner=owner, key=key, request_hash=request_hash, status=0, body=b"", created_at=unit.now)
    try:
        with unit.db.begin_nested():
            unit.db.add(mine)
    except IntegrityError:
        known = unit.db.scalars(select(IdempotencyKey).where(IdempotencyKey.owner == owner, IdempotencyKey.key == key).with_for_update()).one()
        if known.created_at <= unit.now - KEPT:  # not swept yet
            known.request_hash, known.status, known.body, known.created_at = request_hash, 0, b"", unit.now
        elif known.request_hash != request_hash:
            raise KeyUsedOtherwise() from None
        return known
    return mine


def _sweep(unit: WriteUnit) -> None:
    """Forget some of the keys of yesterday; whoever sweeps at the same time takes others."""
    old = unit.db.scalars(select(IdempotencyKey.id).where(IdempotencyKey.created_at <= unit.now - KEPT).limit(SWEPT_AT_ONCE)
                          .with_for_update(skip_locked=True)).all()
    if old:
        unit.db.execute(delete(IdempotencyKey).where(IdempotencyKey.id.in_(old)))


def _hash(request: Request, body: BaseModel | None) -> str:
    asked = json.dumps([request.method, request.url.path, body.model_dump(mode="json") if body else None], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def _unseal(data_dir: Path, row: IdempotencyKey) -> bytes:
    return base64.b64decode(unseal(data_dir, row.body, label=row.id)["answer"])


def _written(answer: BaseModel) -> bytes:
    return answer.model_dump_json(by_alias=True).encode()


def _answer(content: bytes, status: int, *, replayed: bool = False) -> Response:
    response = Response(content, status_code=status, media_type="application/json")
    version = json.loads(content).get("version")
    if version is not None:
        response.headers["ETag"] = etag_of(version)
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response
