"""The page that shows the API, which loads nothing from elsewhere, and the examples that it shows."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

_STATIC = files("ui").joinpath("server", "static", "docs")


def router() -> APIRouter:
    """The page."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        """The API's documentation, to read and to try."""
        root = escape(request.scope.get("root_path", "").rstrip("/"))
        return HTMLResponse(_STATIC.joinpath("docs.html").read_text("utf-8").replace("ROOT", root))

    return routes


def static() -> Mount:
    """The files of the page: Swagger UI, Apache-2.0, as published."""
    return Mount("/docs/static", StaticFiles(directory=str(_STATIC)))


def describe(app: FastAPI) -> None:
    """Put the examples of examples.json into the OpenAPI description of `app`."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = described()
            for route, examples in json.loads(_STATIC.joinpath("examples.json").read_text("utf-8")).items():
                method, path = route.split()
                if operation := schema["paths"].get(path, {}).get(method.lower()):
                    _put(operation, examples)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _put(operation: dict[str, Any], examples: dict[str, Any]) -> None:
    if "sends" in examples:
        content = operation["requestBody"]["content"]["application/json"]
        content["examples"] = {name: {"value": value} for name, value in examples["sends"].items()}
    for status, content in examples.get("answers", {}).items():
        response = operation["responses"].setdefault(status, {"description": "As the example shows."})
        for kind, example in content.items():
            response.setdefault("content", {}).setdefault(kind, {})["example"] = example
