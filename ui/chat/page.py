"""The chat page: a question box, the answer as it comes, and the cited passages beside it."""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the import: no call leaves this machine

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import gradio as gr
import regex
from fastapi import FastAPI

from index.errors import IndexProblem
from rag.answer import Answer, Citation
from rag.answerers.base import Turn
from rag.chain import Chain
from rag.citations import without_markers
from rag.errors import AnswerProblem
from rag.events import Delta, Done, Failed, Warned
from rag.phrases import phrase

_CSS = (
    ".message, .prose p, .prose li, article { unicode-bidi: plaintext; text-align: start }"
    " article { border-inline-start: 3px solid var(--color-accent); padding-inline-start: .8em; margin-block: 1em }"
    " article mark { background: #fde68a; color: #111; padding: 0 .15em }"
)
_CONTEXT_CHARS = 300  # of a passage around its cited sentence
_MARKER = regex.compile(r"\[(\d{1,3})\]")
_SHOWN_MARKER = regex.compile(r"\s?\[\\\[\d+\\\]\]\(#source-\d+\)")
_ESCAPED = regex.compile(r"\\(\p{P}|\p{S})")
_WEB_ADDRESS = regex.compile(r"https?://\S+", regex.IGNORECASE)
_MARKDOWN = regex.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$&:/=\"'^])")


def mount(app: FastAPI, chain: Chain) -> FastAPI:
    """Mount the page at `/` of `app`."""
    page = build(chain)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css=_CSS,
        allowed_paths=[],
        show_error=False,
        run_history=False,
        footer_links=[],
        max_file_size="1mb",
    )
    # gradio checks the file paths that a client names only in an app that counts as launched.
    page.has_launched = True
    return mounted


def build(chain: Chain) -> Any:
    """The page as gradio blocks."""

    # A generator function by its own right: gradio looks at the function, not at what it returns.
    def respond(message: str, history: list[Any]) -> Iterator[tuple[str, str]]:
        yield from _reply(chain, message, turns(history))

    with gr.Blocks(title="Dragoman", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.Markdown("# Dragoman")
        with gr.Row():
            with gr.Column(scale=3):
                panel = gr.Markdown(render=False, sanitize_html=True, latex_delimiters=[])
                gr.ChatInterface(
                    respond,
                    chatbot=gr.Chatbot(
                        height="70vh", buttons=["copy"], sanitize_html=True, latex_delimiters=[], allow_tags=False
                    ),
                    textbox=gr.Textbox(placeholder="…", max_length=2000, show_label=False),
                    additional_outputs=[panel],
                    concurrency_limit=16,
                    api_visibility="private",
                )
            with gr.Column(scale=2):
                panel.render()
    page.queue(max_size=64)
    return page


def turns(history: Sequence[Any]) -> list[Turn]:
    """Gradio's messages as the questions and answers of the conversation, oldest first, markers left out."""
    found: list[Turn] = []
    for message in history:
        content = message.get("content", "")
        parts = content if isinstance(content, list) else [content]
        text = " ".join(part.get("text", "") if isinstance(part, dict) else str(part) for part in parts)
        if message.get("role") == "user":
            found.append(Turn(text, ""))
        elif found:
            found[-1] = Turn(found[-1].question, _plain_answer(text))
    return found


def _plain_answer(shown: str) -> str:
    """What `answer_markdown` was made of, without its markers, and without the warnings behind it."""
    text = _SHOWN_MARKER.sub("", shown.partition("\n\n⚠ ")[0])
    return without_markers(_ESCAPED.sub(r"\1", text)).replace("\n\n", "\n")


def _reply(chain: Chain, message: str, history: Sequence[Turn] = ()) -> Iterator[tuple[str, str]]:
    """(answer so far, cited passages) as gradio wants them."""
    text, warnings = "", ""
    try:
        for event in chain.stream(str(message), history):
            if isinstance(event, Delta):
                text += event.text
                yield answer_markdown(text), ""
            elif isinstance(event, Warned):
                warnings += f"\n\n⚠ {inert(event.message)}"
            elif isinstance(event, Done):
                yield answer_markdown(event.answer.text) + warnings, panel_markdown(event.answer)
            elif isinstance(event, Failed):
                raise event.error  # what the asker can be told is told below, what is our own fault is logged
    except (ValueError, IndexProblem, AnswerProblem) as error:
        yield f"⚠ {inert(str(error))}", ""


def answer_markdown(text: str) -> str:
    """An answer as Markdown in which only our own markers are markup."""
    pieces, position = [], 0
    for match in _MARKER.finditer(text):
        pieces += [inert(text[position : match.start()]), f"[\\[{match.group(1)}\\]](#source-{match.group(1)})"]
        position = match.end()
    pieces.append(inert(text[position:]))
    return "".join(pieces).replace("\n", "\n\n")


def panel_markdown(answer: Answer) -> str:
    """The cited sentences, each in its context, as escaped HTML that Markdown passes through."""
    if not answer.citations:
        return ""
    cards = [_card(citation, answer) for citation in answer.citations]
    return f"### {inert(phrase('sources', answer.answer_language))}\n\n" + "\n\n".join(cards)


def _card(citation: Citation, answer: Answer) -> str:
    before, after = _context(citation, answer)
    about = " · ".join(filter(None, (citation.language, citation.date)))
    title = _flat(citation.title or citation.source)
    if _WEB_ADDRESS.fullmatch(citation.url):  # javascript: must not become a link, nor a line break end the block
        title = f'<a href="{escape(citation.url)}" rel="noopener noreferrer nofollow" target="_blank">{title}</a>'
    return (
        f'<article id="source-{citation.n}" lang="{_flat(citation.language)}" dir="auto">'
        f"<b>[{citation.n}] {title}</b><br><small>{_flat(about)} · {_flat(citation.source)}</small><br>"
        f"{_flat(before)}<mark>{_flat(citation.quote)}</mark>{_flat(after)}</article>"
    )


def _context(citation: Citation, answer: Answer) -> tuple[str, str]:
    """What stands before and after the cited span in its passage, cut to a readable length."""
    for item in answer.retrieved:
        passage = item.passage
        if passage.doc_id == citation.doc_id and passage.start <= citation.start and citation.end <= passage.end:
            before = passage.text[: citation.start - passage.start][-_CONTEXT_CHARS:]
            return before, passage.text[citation.end - passage.start :][:_CONTEXT_CHARS]
    return "", ""


def inert(text: str) -> str:
    """Text that Markdown and HTML show as it is: every sign of either is escaped."""
    return _MARKDOWN.sub(r"\\\1", text)


def _flat(text: str) -> str:
    """Text for inside an HTML block: escaped, on one line, so that no Markdown begins in it."""
    return escape(regex.sub(r"\s+", " ", text))
