"""The page that shows the API, which loads nothing from elsewhere, and what OpenAPI says of responses and examples."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

_STATIC = files("ui").joinpath("server", "static", "docs")


def add_docs(app: FastAPI) -> None:
    """Add the page, with Swagger UI (Apache-2.0, as published), and the responses and examples of openapi.json."""

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        """The API's documentation, to read and to try."""
        root = escape(request.scope.get("root_path", "").rstrip("/"))
        return HTMLResponse(_STATIC.joinpath("docs.html").read_text("utf-8").replace("ROOT", root))

    app.mount("/docs/static", StaticFiles(directory=str(_STATIC)))
    of_the_code = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _merge(of_the_code(), json.loads(_STATIC.joinpath("openapi.json").read_text("utf-8")))
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _merge(schema: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(schema.get(name), dict):
            _merge(schema[name], value)
        else:
            schema[name] = value
        if name == "responses":
            schema[name].pop("422", None)  # the framework's own, which no response has: 4XX is described
