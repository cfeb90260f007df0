"""For machines that watch the program: alive, ready (each part with its state), metrics."""

from __future__ import annotations

import hmac
import shutil
from collections.abc import Callable
from datetime import timedelta

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import func, select
from starlette.responses import JSONResponse, PlainTextResponse, Response

from orchestrator.core.errors import AppError, NotFound
from orchestrator.notifications.models import OutgoingMail
from web.deps import Parts
from web.services import Services

router = APIRouter(include_in_schema=False)

MAIL_IS_LATE = timedelta(minutes=15)


@router.get("/healthz", name="health:alive")
async def show_alive() -> PlainTextResponse:
    return PlainTextResponse("alive\n")


def _state(check: Callable[[], object]) -> str:
    try:
        check()
    except (AppError, OSError) as exc:
        return f"failed: {exc}"
    return "ok"


def _check_disk(services: Services) -> None:
    free = shutil.disk_usage(services.settings.data_dir).free
    if free < services.settings.recording_reserve_bytes:
        raise OSError(f"only {free // 2**20} MiB are free; new sessions wait until there is more")


def _mail_state(services: Services) -> str:
    """Whether mail leaves: the oldest mail that is due and still here tells."""
    if not services.settings.smtp_host:
        return "not configured: mails wait in the outbox"
    try:
        with services.database.read() as unit:
            oldest = unit.db.scalar(select(func.min(OutgoingMail.created_at)).where(OutgoingMail.state == "due"))
            late = oldest is not None and unit.now - oldest > MAIL_IS_LATE
    except AppError as exc:
        return f"failed: {exc}"
    return f"failed: mail waits since {oldest:%Y-%m-%d %H:%M} UTC" if late and oldest is not None else "ok"


def _jobs_state(services: Services) -> str:
    """Whether due work (mail, waking tickets, ends of sessions) is taken up."""
    state = services.workers.state_of("jobs")
    failing = services.jobs.failing() if services.jobs is not None else []
    return f"failed: {', '.join(failing)} cannot be taken up" if state == "ok" and failing else state


@router.get("/readyz", name="health:ready")
def show_ready(services: Parts) -> JSONResponse:
    """Each part with its state; 503 when one that the desk cannot do without has failed. Mail that cannot leave is
    reported and waits in the outbox, so it does not make the program unready."""
    parts = {
        "database": _state(services.database.ping),
        "record": _state(services.live.recorder.check_room),
        "signals": "ok",
        "jobs": _jobs_state(services),
        "search": services.workers.state_of("search"),
        "disk": _state(lambda: _check_disk(services)),
        "mail": _mail_state(services),
    }
    needed = ("database", "record", "disk", "jobs", "search")
    ready = all(parts[name] == "ok" for name in needed)
    return JSONResponse({"ready": ready, "parts": parts}, status_code=200 if ready else 503)


@router.get("/metrics", name="health:metrics")
def show_metrics(request: Request, services: Parts) -> Response:
    """Prometheus text; needs ``Authorization: Bearer <FERNWART_METRICS_TOKEN>`` and does not exist without that setting."""
    wanted = services.settings.metrics_token.get_secret_value()
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()):
        raise NotFound()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
