"""Dependencies of handlers: a read or a write unit for each request, committed before the response is sent."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from orchestrator.core.db import ReadUnit, WriteUnit
from web.services import Services, services_of


def get_services(request: Request) -> Services:
    return services_of(request)


async def open_read_unit(request: Request) -> AsyncGenerator[ReadUnit, None]:
    """Yield a read unit for the length of the handler."""
    services = services_of(request)
    async with services.read_slots:
        unit = services.database.read()
        opened = await run_in_threadpool(unit.__enter__)
        request.state.unit = opened
        try:
            yield opened
        finally:
            request.state.unit = None
            await run_in_threadpool(unit.__exit__, None, None, None)


async def open_write_unit(request: Request) -> AsyncGenerator[WriteUnit, None]:
    """Yield a write unit; commit when the handler has returned, roll back when it has raised.

    The scope is *function*: without it the commit would come after the response, and a failed one would still answer 200.
    """
    services = services_of(request)
    async with services.write_slots:
        unit = services.database.write()
        opened = await run_in_threadpool(unit.__enter__)
        request.state.unit = opened
        try:
            yield opened
        except BaseException:
            if not await run_in_threadpool(unit.__exit__, *sys.exc_info()):
                raise
        else:
            await run_in_threadpool(unit.__exit__, None, None, None)
        finally:
            request.state.unit = None


Parts = Annotated[Services, Depends(get_services)]
Reading = Annotated[ReadUnit, Depends(open_read_unit, scope="function")]
Writing = Annotated[WriteUnit, Depends(open_write_unit, scope="function")]
