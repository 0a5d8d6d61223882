"""Templates to responses, each with the headers that keep a page to itself."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.errors import Problem
from app.pages.session import SIGN_IN_NEEDED

FOLDER = Path(__file__).parent
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
templates = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A template as a response that no cache keeps."""
    text = templates.get_template(template).render(context)
    return HTMLResponse(text, status, {**SECURITY_HEADERS, "Cache-Control": "no-store"})


def error_page(request: Request, problem: Problem) -> Response | None:
    """A problem as a page, for a browser that asked for one outside the API; else None.

    Where only signing in is missing, it leads to the form, and the form back here.
    """
    if request.url.path.startswith("/v1/") or "text/html" not in request.headers.get("accept", ""):
        return None
    if problem.code == SIGN_IN_NEEDED:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?{urlencode({'next': target})}", 303)
    response = page("error.html", problem.status, problem=problem.body(), session=None)
    response.headers.update(problem.headers)
    return response


class Static(StaticFiles):
    """The style sheet and its like, with the pages' headers."""

    def file_response(
        self,
        full_path: "os.PathLike[str] | str",
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update({**SECURITY_HEADERS, "Cache-Control": "public, max-age=3600"})
        return response


static = Static(directory=FOLDER / "static")
