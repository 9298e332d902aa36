"""The page that shows the API, which loads nothing from elsewhere."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles


def router() -> APIRouter:
    """The page, and the files that it loads."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        """The API's documentation, to read and to try."""
        return HTMLResponse(_PAGE.replace("ROOT", escape(request.scope.get("root_path", "").rstrip("/"))))

    return routes


def static() -> Mount:
    """The files of the page: Swagger UI, Apache-2.0, as published."""
    return Mount("/docs/static", StaticFiles(directory=str(files("ui").joinpath("server", "static", "docs"))))


_PAGE = """<!doctype html>
<html lang="en" data-schema="ROOT/openapi.json">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Dragoman: the HTTP API</title>
<link rel="icon" href="ROOT/docs/static/favicon-32x32.png">
<link rel="stylesheet" href="ROOT/docs/static/swagger-ui.css">
<script src="ROOT/docs/static/swagger-ui-bundle.js" defer></script>
<script src="ROOT/docs/static/start.js" defer></script>
</head>
<body><main id="docs"></main></body>
</html>
"""
