"""The page: our own scripts for questions and sources, and gradio for the library, fetched when it is opened."""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the import: no call leaves this machine

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.utils import get_upload_folder
from starlette.routing import Mount

from index.read import SUFFIXES
from rag.chain import Chain
from rag.phrases import Part, languages, phrase
from ui.page.corpus import Corpus
from ui.page.routes import add_routes
from ui.page.shell import BROWSER_TAGS, Shell, language_of
from ui.page.uploads import add_files, rows_markdown
from ui.server.documents import Documents
from ui.server.settings import ServerSettings

_PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}  # of every event: no client calls it by name


def mount(app: FastAPI, chain: Chain, settings: ServerSettings | None = None) -> FastAPI:
    """Mount the page at `/` of `app`, behind all that is there already.

    Args:
        app: It has a CORSMiddleware of its own: else gradio reflects any origin.
        chain: Answers the questions.
        settings: The server's limits; with `allow_upload` articles can be added, by who has the scope.
    """
    settings = settings or ServerSettings()
    documents = Documents(chain.backend, chain.encoder, settings.max_upload_bytes) if settings.allow_upload else None
    corpus = Corpus(chain.backend)
    add_routes(app, chain, corpus)
    page = build(Library(corpus, documents), settings.max_waiting)
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


class Library:
    """The articles as a table, and the files that a visitor adds; without `documents` nothing may be added."""

    def __init__(self, corpus: Corpus, documents: Documents | None) -> None:
        self.corpus, self.documents = corpus, documents

    def table(self, request: gr.Request) -> Any:
        """Title, language and date of each article, the newest first."""
        lang = language_of(request)
        headers = [phrase(name, lang, Part.INTERFACE) for name in ("library", "languages", "date")]
        return gr.Dataframe(headers=headers, value=[list(row) for row in self.corpus.facts().rows])

    def upload(self, files: Sequence[str] | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """(what became of each file, table, file field) as they are added; then the field takes others."""
        if self.documents is None:
            return
        lang, paths = language_of(request), [Path(file) for file in files or []]
        try:
            for rows in add_files(paths, self.documents):
                yield rows_markdown(rows, len(paths), lang), gr.skip(), gr.skip()
        finally:
            for path in paths:  # the index has its own copies
                if path.is_relative_to(get_upload_folder()):
                    path.unlink(missing_ok=True)
        self.corpus.forget()
        yield gr.skip(), self.table(request), gr.File(value=None)


def build(library: Library, max_waiting: int) -> Any:
    """The library as gradio blocks."""
    with gr.Blocks(title="Dragoman", analytics_enabled=False, delete_cache=(3600, 86400), fill_width=True) as page:
        if library.documents is not None:
            types = sorted(SUFFIXES)
            files = gr.File(
                label=gr.I18n()("dragoman_files"), file_count="multiple", file_types=types, height=150, elem_id="files"
            )
            uploaded = gr.Markdown(sanitize_html=True, latex_delimiters=[], elem_id="uploaded")
        table = gr.Dataframe(
            datatype=["markdown", "str", "str"],
            interactive=False,
            show_search="filter",
            wrap=True,
            column_widths=["60%", "20%", "20%"],
            elem_id="articles",
            latex_delimiters=[],
        )
        page.load(library.table, None, table, **_PRIVATE)
        if library.documents is not None:
            outputs = [uploaded, table, files]
            files.upload(library.upload, [files], outputs, concurrency_limit=1, **_PRIVATE)
    page.queue(max_size=max_waiting)
    return page


def _translations() -> Any:
    return gr.I18n(
        **{
            BROWSER_TAGS.get(lang, lang): {"dragoman_files": phrase("add_files", lang, Part.INTERFACE)}
            for lang in languages(Part.INTERFACE)
        }
    )
