"""A wrapper around gradio's application: our page around its own, their language and policy, and what stays shut."""

from __future__ import annotations

import json
import secrets
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import regex
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.search import MAX_QUESTION_CHARS
from rag.phrases import Part, accepted, best_language, direction, languages, own_name, phrase, phrases

# gradio runs under it as long as no gr.HTML, no gr.BarPlot and no js= of an event is used: those need eval.
_POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; connect-src 'self'; font-src 'self' data:; worker-src 'self' blob:;"
    " object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_INLINE = regex.compile(r"<script(?![^>]*\bsrc=)", regex.IGNORECASE)
_HTML_TAG = regex.compile(r"<html\s[^>]*?lang=\"[^\"]*\"", regex.IGNORECASE)
_META = regex.compile(r"<meta\s+(?:property|name)=\"(?:og|twitter):[^>]*>", regex.IGNORECASE)
_SHUT = ("/gradio_api/proxy=", "/gradio_api/call/", "/gradio_api/api/", "/monitoring")
_UPLOAD = "/gradio_api/upload"
BROWSER_TAGS = {"zh-Hant": "zh-TW", "zh-Hans": "zh-CN"}  # what gradio finds its own words by
_APP = regex.compile(r"<gradio-app\b.*?</gradio-app>", regex.DOTALL)
_MODULE = regex.compile(r"<script[^>]*\btype=\"module\"[^>]*\bsrc=\"([^\"]*)\"[^>]*>\s*</script>")
_HINT = regex.compile(r"<link[^>]*\brel=\"(?:modulepreload|preload|preconnect|manifest|stylesheet)\"[^>]*>")
_HEAD = (
    '<title>Dragoman</title><script src="web/before.js"></script><link rel="stylesheet" href="web/answer.css">'
    '<link rel="stylesheet" href="web/page.css">'
)


class Shell:
    """Gradio's application as Dragoman serves it; with `max_upload_bytes` it takes files, of a request together."""

    def __init__(self, app: Any, *, max_upload_bytes: int = 0) -> None:
        self._app: ASGIApp = app
        self.blocks, self.router, self.routes = app.blocks, app.router, app.routes
        self._shut = _SHUT if max_upload_bytes else (*_SHUT, _UPLOAD)
        # It takes the place of the application's own limit, which is one of questions.
        self._taking_files = RequestBodyLimitMiddleware(app, max_body_size=max_upload_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = "/" + scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        if path.startswith(self._shut):
            await PlainTextResponse("not found", 404)(scope, receive, send)
        elif path == "/" and scope["method"] == "GET":
            await self._page(scope, receive, send)
        elif path == _UPLOAD:
            await self._taking_files(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page, rewritten once it is whole: it must come uncompressed for that."""
        lang = language_of(HTTPConnection(scope))
        plain = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]}
        start: Message = {}
        body = bytearray()

        async def hold(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                await send(*_rewritten_start(start, body, lang))
                await send({"type": "http.response.body", "body": bytes(body)})

        await self._app(plain, receive, hold)


def _rewritten_start(start: Message, body: bytearray, lang: str) -> tuple[Message]:
    """The start of the response, with the policy that fits `body`, which is rewritten."""
    headers = [pair for pair in start["headers"] if pair[0] not in (b"content-length", b"content-security-policy")]
    if b"text/html" in dict(headers).get(b"content-type", b""):
        nonce = secrets.token_urlsafe(16)
        body[:] = rewritten(body.decode("utf-8"), nonce, lang).encode("utf-8")
        headers += [
            (b"content-security-policy", _POLICY.replace("{nonce}", nonce).encode()),
            (b"cache-control", b"no-store"),
            (b"vary", b"accept-language"),
        ]
    return ({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]},)


def rewritten(html: str, nonce: str, lang: str) -> str:
    """Our page with gradio's in a dialog: its scripts wait until that is opened, and its inline ones need `nonce`."""
    html = _HINT.sub("", _META.sub("", html))
    html = _INLINE.sub(f'<script nonce="{nonce}"', html)
    html = _MODULE.sub(lambda match: f'<script type="text/plain" src="{match.group(1)}"></script>', html)
    tag = escape(BROWSER_TAGS.get(lang, lang))
    html = _HTML_TAG.sub(f'<html data-ui="{tag}" lang="{escape(lang)}" dir="{direction(lang)}"', html, count=1)
    # Behind <base>, before every script of gradio's.
    html = regex.sub(r"(<base\b[^>]*>)", lambda match: match.group(1) + _HEAD, html, count=1)
    return _APP.sub(lambda match: _page(lang, match.group()), html, count=1)


def _page(lang: str, library: str) -> str:
    """Our own markup around gradio's element."""
    words = {**phrases(lang, Part.INTERFACE), **{name: phrase(name, lang) for name in ("sources", "closest")}}
    config = {
        "words": words,
        "dir": direction(lang),
        "max_chars": MAX_QUESTION_CHARS,
        "languages": [(tag, own_name(tag)) for tag in languages(Part.INTERFACE)],
    }
    template = Template(files("ui.page").joinpath("page.html").read_text("utf-8"))
    return template.substitute(
        config=escape(json.dumps(config, ensure_ascii=False)), placeholder=escape(words["placeholder"]), library=library
    )


def language_of(request: HTTPConnection) -> str:
    """The language of a request of the page: `?lang=`, else what was chosen, else what the browser accepts."""
    asked = (request.query_params.get("lang", ""), request.cookies.get("dragoman_lang", ""))
    of_browser = accepted(request.headers.get("accept-language", ""))
    return best_language([*(tag[:35] for tag in asked), *of_browser], Part.INTERFACE)
