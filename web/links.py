"""Absolute addresses for mails and answers: the public URL joined with the route table's paths."""

from __future__ import annotations

from starlette.applications import Starlette


class RouteLinks:
    """Implements ``orchestrator.core.ports.LinkBuilder`` on top of the application's named routes."""

    def __init__(self, public_url: str, app: Starlette) -> None:
        self._public_url = public_url
        self._app = app

    def _join(self, route: str, **values: str) -> str:
        return self._public_url + str(self._app.url_path_for(route, **values))

    def ticket(self, number: str) -> str:
        return self._join("tickets:show", number=number)

    def session(self, session_id: str) -> str:
        return self._join("sessions:show", session_id=session_id)

    def consent(self, token: str) -> str:
        return self._join("consent:show", token=token)

    def set_up(self, token: str) -> str:
        return self._join("set-up:show", token=token)
