"""The chat page: a question box, the answer as it comes, and the cited passages beside it."""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the import: no call leaves this machine

from dataclasses import dataclass
from importlib.resources import files
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


@dataclass(frozen=True, slots=True)
class _Parts:
    """What on the page is read or changed by events."""

    saved: Any
    own_id: Any
    sections: Any
    chatbot: Any
    textbox: Any
    panel: Any
    languages: Any
    since: Any
    until: Any
    conversations: Any
    new: Any
    delete_all: Any
    overview: Any
    files: Any
    uploaded: Any


def build(handlers: Handlers, settings: ServerSettings) -> Any:
    """The page as gradio blocks."""
    with gr.Blocks(title="Dragoman", analytics_enabled=False, delete_cache=(3600, 86400), fill_width=True) as page:
        parts = _layout(can_upload=handlers.documents is not None)
        _wire(page, parts, handlers, settings.max_concurrent)
    page.queue(max_size=settings.max_waiting)
    return page


def _layout(*, can_upload: bool) -> _Parts:
    saved = gr.BrowserState([], storage_key=_HISTORY, secret=_HISTORY_KEY)
    own_id, sections = gr.State(""), gr.State([])
    with gr.Column(elem_id="head"):
        gr.Markdown("# Dragoman")
        gr.Markdown(_word("subtitle"))
        gr.Markdown(" ".join(f"[{own_name(lang)}](?lang={lang})" for lang in languages(Part.PAGE)), elem_id="langs")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            chatbot, textbox = _chat()
            with gr.Accordion(_word("filters"), open=False):
                # Custom values: a page that was open before a restart has choices that this process has not told it.
                chosen = gr.Dropdown([], multiselect=True, allow_custom_value=True, label=_word("languages"))
                with gr.Row():
                    since, until = (
                        gr.Textbox(label=_word(name), placeholder=_word("date_hint"), max_length=10, min_width=180)
                        for name in ("since", "until")
                    )
        with gr.Column(scale=2, min_width=320):
            panel = _markdown(elem_id="panel")
            with gr.Accordion(_word("history"), open=False):
                conversations = gr.Radio([], show_label=False, label=_word("history"), container=False)
                with gr.Row():
                    new = gr.Button(_word("new"), size="sm", variant="primary", min_width=120)
                    delete_all = gr.Button(_word("delete_all"), size="sm", variant="stop", min_width=120)
            with gr.Accordion(_word("overview"), open=False):
                about = _markdown(elem_id="overview")
            files_, uploaded = _upload() if can_upload else (None, None)
    return _Parts(
        saved, own_id, sections, chatbot, textbox, panel, chosen, since, until, conversations, new, delete_all, about,
        files_, uploaded,
    )  # fmt: skip


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


def _upload() -> tuple[Any, Any]:
    with gr.Accordion(_word("add"), open=False):
        files_ = gr.File(
            label=_word("add_files"), file_count="multiple", file_types=sorted(SUFFIXES), height=170, elem_id="files"
        )
        return files_, _markdown(elem_id="uploaded")


def _markdown(elem_id: str) -> Any:
    """For our own escaped HTML; never gr.HTML, which runs its templates."""
    return gr.Markdown(sanitize_html=True, latex_delimiters=[], elem_id=elem_id)


def _wire(page: Any, parts: _Parts, handlers: Handlers, max_concurrent: int) -> None:
    where = [parts.sections, parts.languages, parts.since, parts.until]
    shown = [parts.chatbot, parts.panel, parts.sections, parts.textbox]
    keeping = [parts.saved, parts.own_id, parts.chatbot, parts.sections]
    asking = [
        on(
            function,
            inputs,
            shown,
            api_visibility="private",
            concurrency_limit=max_concurrent,
            concurrency_id="ask",
            show_progress="hidden",
            trigger_mode="once",
        )
        for on, function, inputs in (
            (parts.textbox.submit, handlers.ask, [parts.textbox, parts.chatbot, *where]),
            (parts.chatbot.example_select, handlers.ask_example, where),
            (parts.chatbot.retry, handlers.ask_again, [parts.chatbot, *where]),
            (parts.chatbot.edit, handlers.ask_edited, [parts.chatbot, *where]),
        )
    ]
    for asked in asking:
        asked.then(handlers.ready, None, parts.textbox, api_visibility="private", queue=False).then(
            handlers.keep,
            keeping,
            [parts.saved, parts.own_id, parts.conversations],
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )
    parts.textbox.stop(None, None, None, cancels=asking, api_visibility="private")
    parts.chatbot.undo(
        handlers.undo, [parts.chatbot, parts.sections], shown, api_visibility="private", queue=False
    ).then(
        handlers.keep, keeping, [parts.saved, parts.own_id, parts.conversations], api_visibility="private", queue=False
    )
    parts.chatbot.like(handlers.like, [parts.chatbot], None, api_visibility="private", show_progress="hidden")
    _wire_conversations(parts, handlers)
    page.load(
        handlers.greet,
        [parts.saved],
        [parts.chatbot, parts.panel, parts.languages, parts.conversations, parts.overview],
        api_visibility="private",
        show_progress="hidden",
    )
    if parts.files is not None:
        parts.files.upload(
            handlers.upload,
            [parts.files],
            [parts.uploaded, parts.overview, parts.files],
            api_visibility="private",
            concurrency_limit=1,
            show_progress="minimal",
        )


def _wire_conversations(parts: _Parts, handlers: Handlers) -> None:
    one = [parts.chatbot, parts.panel, parts.sections, parts.own_id]
    parts.conversations.input(
        handlers.open, [parts.conversations, parts.saved], one, api_visibility="private", queue=False
    )
    parts.new.click(handlers.begin_anew, None, [*one, parts.conversations], api_visibility="private", queue=False)
    parts.chatbot.clear(
        handlers.drop,
        [parts.saved, parts.own_id],
        [parts.saved, parts.panel, parts.sections, parts.own_id, parts.conversations],
        api_visibility="private",
        queue=False,
    )
    parts.delete_all.click(
        handlers.drop_all, None, [parts.saved, *one, parts.conversations], api_visibility="private", queue=False
    )


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
