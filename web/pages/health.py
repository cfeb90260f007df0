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
from orchestrator.intake.queries import count_inputs
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


def _smtp_state(services: Services) -> str:
    """Whether the door for incoming mail answers, where one is wanted."""
    door = services.smtp_door
    if door is None:
        return "not configured" if not services.settings.smtp_listen else "failed: it was never opened"
    return "ok" if door.is_open else "failed: it has ended"


def _intake_state(services: Services) -> str:
    """Mails that were stored and need a person's look: an alarm, but no reason to send the desk's visitors away."""
    try:
        with services.database.read() as unit:
            counts = count_inputs(unit)
    except AppError as exc:
        return f"failed: {exc}"
    if counts.failed or counts.waiting:
        return f"failed: {counts.failed} stored mails could not be understood, {counts.waiting} wait"
    return "ok"


@router.get("/readyz", name="health:ready")
def show_ready(services: Parts) -> JSONResponse:
    """Each part with its state; 503 when one that the desk cannot do without has failed. Mail that cannot leave is
    reported and waits in the outbox, so it does not make the program unready."""
    parts = {
        "database": _state(services.database.ping),
        "record": _state(services.live.recorder.check_room),
        "signals": "ok: in memory",
        "jobs": _jobs_state(services),
        "search": services.workers.state_of("search"),
        "disk": _state(lambda: _check_disk(services)),
        "sessions": services.live.state(),
        "smtp": _smtp_state(services),
        "mail": _mail_state(services),
        "intake": _intake_state(services),
    }
    needed = ("database", "record", "disk", "jobs", "search", "sessions", "smtp")
    ready = all(not parts[name].startswith("failed") for name in needed)
    return JSONResponse({"ready": ready, "parts": parts}, status_code=200 if ready else 503)


@router.get("/metrics", name="health:metrics")
def show_metrics(request: Request, services: Parts) -> Response:
    """Prometheus text; needs ``Authorization: Bearer <FERNWART_METRICS_TOKEN>`` and does not exist without that setting."""
    wanted = services.settings.metrics_token.get_secret_value()
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not wanted or not hmac.compare_digest(given.encode(), wanted.encode()):
        raise NotFound()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
