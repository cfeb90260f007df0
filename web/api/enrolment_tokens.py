"""/enrolment-tokens: what an agent needs to enrol, once."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from sessions.endpoints.service import create_enrolment_token
from web.api.idempotency import KeyHeader, answer_once
from web.api.shapes.endpoints import EnrolmentTokenShape, NewEnrolmentToken
from web.auth import CurrentUser
from web.deps import Parts, Writing

router = APIRouter(prefix="/enrolment-tokens", tags=["endpoints"])


@router.post("", name="api:enrolment-tokens-create", status_code=201, response_model=EnrolmentTokenShape)
def create(request: Request, unit: Writing, actor: CurrentUser, services: Parts, body: NewEnrolmentToken, key: KeyHeader = None) -> Response:
    """Make a token with which agents may enrol; it is shown in this answer alone."""

    def make() -> EnrolmentTokenShape:
        token = create_enrolment_token(
            unit, actor, organisation_id=body.organisation_id, uses=body.uses, expires=timedelta(minutes=body.expires_minutes),
            auto_accept=body.auto_accept, endpoint_class=body.endpoint_class,
            responsible=body.responsible, server_fingerprint=services.keys.fingerprint)
        return EnrolmentTokenShape(token=token)

    return answer_once(unit, actor, request, key, body, make, sealed_in=services.settings.data_dir)
