"""ETags of what can be edited, and ``If-Match``: a change of an outdated version is refused with 412."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header
from starlette.responses import Response

from orchestrator.core.errors import Conflict
from orchestrator.core.i18n import _

IfMatch = Annotated[str | None, Header(max_length=300)]
_TAG = re.compile(r'"([^"]*)"')


class Outdated(Conflict):
    """The version that ``If-Match`` names is not the current one."""

    code = "outdated"

    def __init__(self) -> None:
        super().__init__(_("Somebody else changed this in the meantime. Load it again and repeat your change."))


def etag_of(version: int) -> str:
    return f'"{version}"'


def set_etag(response: Response, version: int) -> None:
    response.headers["ETag"] = etag_of(version)


def check_if_match(header: str | None, version: int) -> None:
    """Raise ``Outdated`` unless the header is absent, ``*``, or names the current version as a strong tag (RFC 9110, 13.1.1).

    ``version`` must have been read under the row's lock.
    """
    if header is None or header.strip() == "*":
        return
    strong = _TAG.findall(re.sub(r'W/"[^"]*"', "", header))
    if str(version) not in strong:
        raise Outdated()
