"""The chat page: a question box, the answer as it comes, and the cited passages beside it."""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the import: no call leaves this machine

from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from index.read import SUFFIXES
from index.search import MAX_QUESTION_CHARS
from rag.chain import Chain
from rag.phrases import Part, languages, own_name, phrases
from ui.page.handlers import Handlers, feedback_options
from ui.page.shell import BROWSER_TAGS, Shell
from ui.server.documents import Documents
from ui.server.feedback import FeedbackFile, Store
from ui.server.settings import ServerSettings

_HISTORY = "dragoman_conversations_1"  # of the browser's storage; another name forgets all conversations
# Not for secrecy, the page carries it: without one of its own gradio makes another at each start, and all is lost.
_HISTORY_KEY = "dragoman-conversations"
_PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}  # of every event: no client calls it by name
_AT_ONCE = {**_PRIVATE, "queue": False}


def mount(
    app: FastAPI, chain: Chain, settings: ServerSettings | None = None, *, on_feedback: Store | None = None
) -> FastAPI:
    """Mount the page at `/` of `app`, behind all that is there already.

    Args:
        app: It has a CORSMiddleware of its own: else gradio reflects any origin.
        chain: Answers the questions.
        settings: The server's limits; with `allow_upload` articles can be added, by who has the scope.
        on_feedback: Stores a reader's opinion; by default a file in the index folder does.
    """
    settings = settings or ServerSettings()
    documents = Documents(chain.backend, chain.encoder, settings.max_upload_bytes) if settings.allow_upload else None
    handlers = Handlers(chain, on_feedback or FeedbackFile(chain.backend.folder).add, documents)
    page = build(handlers, settings)
    app.mount("/page", StaticFiles(directory=str(files("ui").joinpath("page", "static"))), name="page")
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        i18n=_translations(),
        root_path=settings.root_path or None,
        allowed_paths=[],
        show_error=False,
        run_history=False,
        footer_links=[],
        ssr_mode=False,
        max_file_size=settings.max_upload_bytes if documents else "1kb",
    )
    # gradio checks the file paths that a client names only in an app that counts as launched.
    page.has_launched = True
    for route in mounted.routes:
        if isinstance(route, Mount) and getattr(route.app, "blocks", None) is page:
            max_upload = settings.max_upload_bytes + settings.max_body_bytes
            route.app = Shell(route.app, max_upload_bytes=max_upload if documents else 0)
    return mounted


def build(handlers: Handlers, settings: ServerSettings) -> Any:
    """The page as gradio blocks."""
    with gr.Blocks(title="Dragoman", analytics_enabled=False, delete_cache=(3600, 86400), fill_width=True) as page:
        parts = _layout(can_upload=handlers.documents is not None)
        _wire(page, parts, handlers, settings.max_concurrent)
    page.queue(max_size=settings.max_waiting)
    return page


def _layout(*, can_upload: bool) -> SimpleNamespace:
    """The parts of the page that events read or change."""
    parts = SimpleNamespace()
    parts.saved = gr.BrowserState([], storage_key=_HISTORY, secret=_HISTORY_KEY)
    parts.own_id, parts.sections = gr.State(""), gr.State([])
    with gr.Column(elem_id="head"):
        gr.Markdown("# Dragoman")
        gr.Markdown(_word("subtitle"))
        links = (f"[{own_name(lang)}](?lang={lang})" for lang in languages(Part.PAGE))
        gr.Markdown(" ".join(links), elem_id="langs")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            parts.chatbot, parts.textbox = _chat()
            with gr.Accordion(_word("filters"), open=False):
                # Custom values: a page that was open before a restart has choices that this process does not know.
                parts.languages = gr.Dropdown([], multiselect=True, allow_custom_value=True, label=_word("languages"))
                with gr.Row():
                    parts.since, parts.until = _date("since"), _date("until")
        with gr.Column(scale=2, min_width=320):
            parts.panel = _markdown("panel")
            with gr.Accordion(_word("history"), open=False):
                parts.conversations = gr.Radio([], show_label=False, label=_word("history"), container=False)
                with gr.Row():
                    parts.new = gr.Button(_word("new"), size="sm", variant="primary", min_width=120)
                    parts.delete_all = gr.Button(_word("delete_all"), size="sm", variant="stop", min_width=120)
            with gr.Accordion(_word("overview"), open=False):
                parts.overview = _markdown("overview")
            parts.files = None
            if can_upload:
                with gr.Accordion(_word("add"), open=False):
                    parts.files = _file_field()
                    parts.uploaded = _markdown("uploaded")
    return parts


def _chat() -> tuple[Any, Any]:
    chatbot = gr.Chatbot(
        label="Dragoman",
        show_label=False,
        elem_id="chat",
        height="62vh",
        buttons=["copy"],
        editable="user",
        feedback_options=feedback_options("en"),
        sanitize_html=True,
        latex_delimiters=[],
        allow_tags=False,
        allow_file_downloads=False,
    )
    textbox = gr.Textbox(
        placeholder=_word("placeholder"),
        label=_word("placeholder"),
        show_label=False,
        max_length=MAX_QUESTION_CHARS,
        lines=1,
        max_lines=8,
        submit_btn=True,
        autofocus=True,
        elem_id="question",
    )
    return chatbot, textbox


def _date(name: str) -> Any:
    return gr.Textbox(label=_word(name), placeholder=_word("date_hint"), max_length=10, min_width=180)


def _file_field() -> Any:
    types = sorted(SUFFIXES)
    return gr.File(label=_word("add_files"), file_count="multiple", file_types=types, height=170, elem_id="files")


def _markdown(elem_id: str) -> Any:
    """For our own escaped HTML; never gr.HTML, which runs its templates."""
    return gr.Markdown(sanitize_html=True, latex_delimiters=[], elem_id=elem_id)


def _wire(page: Any, parts: SimpleNamespace, handlers: Handlers, max_concurrent: int) -> None:
    """Bind every event to its handler."""
    where = [parts.sections, parts.languages, parts.since, parts.until]
    shown = [parts.chatbot, parts.panel, parts.sections, parts.textbox]
    keeping = [parts.saved, parts.own_id, parts.chatbot, parts.sections]
    kept = [parts.saved, parts.own_id, parts.conversations]
    limit = {"concurrency_limit": max_concurrent, "concurrency_id": "ask", "trigger_mode": "once"}
    asking = [
        on(function, inputs, shown, **_PRIVATE, **limit)
        for on, function, inputs in (
            (parts.textbox.submit, handlers.ask, [parts.textbox, parts.chatbot, *where]),
            (parts.chatbot.example_select, handlers.ask_example, where),
            (parts.chatbot.retry, handlers.ask_again, [parts.chatbot, *where]),
            (parts.chatbot.edit, handlers.ask_edited, [parts.chatbot, *where]),
        )
    ]
    for asked in asking:
        asked.then(handlers.ready, None, parts.textbox, **_AT_ONCE).then(handlers.keep, keeping, kept, **_AT_ONCE)
    parts.textbox.stop(None, None, None, cancels=asking, api_visibility="private")
    undone = parts.chatbot.undo(handlers.undo, [parts.chatbot, parts.sections], shown, **_AT_ONCE)
    undone.then(handlers.keep, keeping, kept, **_AT_ONCE)
    parts.chatbot.like(handlers.like, [parts.chatbot], None, **_PRIVATE)
    greeted = [parts.chatbot, parts.panel, parts.languages, parts.conversations, parts.overview]
    page.load(handlers.greet, [parts.saved], greeted, **_PRIVATE)
    if parts.files is not None:
        outputs = [parts.uploaded, parts.overview, parts.files]
        progress = {**_PRIVATE, "show_progress": "minimal"}
        parts.files.upload(handlers.upload, [parts.files], outputs, concurrency_limit=1, **progress)
    _wire_conversations(parts, handlers)


def _wire_conversations(parts: SimpleNamespace, handlers: Handlers) -> None:
    one = [parts.chatbot, parts.panel, parts.sections, parts.own_id]
    dropped = [parts.saved, parts.panel, parts.sections, parts.own_id, parts.conversations]
    parts.conversations.input(handlers.open, [parts.conversations, parts.saved], one, **_AT_ONCE)
    parts.new.click(handlers.begin_again, None, [*one, parts.conversations], **_AT_ONCE)
    parts.chatbot.clear(handlers.drop, [parts.saved, parts.own_id], dropped, **_AT_ONCE)
    parts.delete_all.click(handlers.drop_all, None, [parts.saved, *one, parts.conversations], **_AT_ONCE)


def _word(name: str) -> Any:
    """A text that the browser shows in the page's language."""
    return gr.I18n()(f"dragoman_{name}")


def _translations() -> Any:
    return gr.I18n(
        **{
            BROWSER_TAGS.get(lang, lang): {
                f"dragoman_{name}": shown for name, shown in phrases(lang, Part.PAGE).items()
            }
            for lang in languages(Part.PAGE)
        }
    )
