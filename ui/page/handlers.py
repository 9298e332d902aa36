"""The page's event handlers: functions of the shown values, bound to a chain."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from index.errors import IndexProblem
from rag.chain import Chain
from rag.phrases import Part, languages, own_name, phrase
from ui.page.conversation import (
    Message,
    Remembered,
    before_question,
    choices,
    filter_of,
    kept,
    message_text,
    plain_messages,
    reply,
    restored,
    turns,
)
from ui.page.corpus import Corpus, Facts, examples, overview, without_isolates
from ui.page.markup import answer_id_of, inert, panel_markdown, plain_answer
from ui.page.shell import page_language
from ui.page.uploads import add_files, rows_html
from ui.server.documents import Documents
from ui.server.errors import Refusal
from ui.server.feedback import Opinion, Store, feedback_on

_log = logging.getLogger(__name__)
_OPTIONS = {"wrong_citation": Opinion.WRONG_CITATION, "not_in_articles": Opinion.NOT_IN_ARTICLES}
Outputs = tuple[Any, ...]


def language_of(request: Any) -> str:
    """The page's language for one call: gradio's script sends the page's own query along."""
    asked, accepted = "", ""
    if request is not None:
        asked = str(request.query_params.get("lang", ""))
        accepted = str(request.headers.get("accept-language", ""))
    return page_language(asked, accepted)


def feedback_options(lang: str) -> list[str]:
    """The opinions as gradio shows them: two thumbs, and the rest under a flag."""
    return ["Like", "Dislike", *(phrase(name, lang, Part.PAGE) for name in _OPTIONS)]


def opinion_of(liked: bool | str) -> Opinion:
    """What gradio reports of a chosen opinion, in any of the page's languages."""
    if isinstance(liked, bool):
        return Opinion.RIGHT if liked else Opinion.WRONG
    shown = {phrase(name, lang, Part.PAGE): said for lang in languages(Part.PAGE) for name, said in _OPTIONS.items()}
    return shown.get(liked, Opinion.RIGHT if liked == "Like" else Opinion.WRONG)


@dataclass(slots=True)
class Handlers:
    """The page's events over one chain."""

    chain: Chain
    store: Store
    documents: Documents | None = None  # None: nothing may be added
    remembered: Remembered = field(default_factory=Remembered)
    corpus: Corpus = field(init=False)

    def __post_init__(self) -> None:
        self.corpus = Corpus(self.chain.backend)

    # --- asking ---------------------------------------------------------------------------------------------

    def ask(
        self,
        question: str,
        history: list[Message],
        request: gr.Request,
        sections: list[str],
        languages: list[str],
        since: str,
        until: str,
    ) -> Iterator[Outputs]:
        """(messages, panel, sections, question box) as the answer grows."""
        lang = language_of(request)
        before = plain_messages(history)
        sections = _aligned(sections, before)
        asked = [*before, {"role": "user", "content": question}]
        yield (
            [*asked, {"role": "assistant", "content": "…"}],
            gr.skip(),
            sections,
            gr.Textbox(value="", submit_btn=False, stop_btn=True),
        )
        try:
            where = filter_of(languages, since, until)
        except ValueError:
            failed = [*asked, {"role": "assistant", "content": f"⚠ {inert(phrase('bad_date', lang, Part.PAGE))}"}]
            yield failed, gr.skip(), [*sections, ""], gr.Textbox(submit_btn=True, stop_btn=False)
            return
        for shown in reply(self.chain, question, turns(before), where, lang, self.remembered):
            messages = [*asked, {"role": "assistant", "content": shown.answer}]
            if shown.section:
                grown = [*sections, shown.section]
                yield messages, panel_markdown(grown, lang), grown, gr.skip()
            else:
                yield messages, gr.skip(), [*sections, ""], gr.skip()

    def ask_example(
        self, request: gr.Request, chosen: gr.SelectData, sections: list[str], *where: Any
    ) -> Iterator[Outputs]:
        """`ask` with the question of an example."""
        question = str(chosen.value.get("text", "")) if isinstance(chosen.value, dict) else str(chosen.value)
        yield from self.ask(without_isolates(question), [], request, [], *where)

    def ask_again(
        self, history: list[Message], request: gr.Request, again: gr.RetryData, *where: Any
    ) -> Iterator[Outputs]:
        """`ask` with the question that an answer was for."""
        before, question = before_question(plain_messages(history), _index(again.index))
        yield from self.ask(question, before, request, *where)

    def ask_edited(
        self, history: list[Message], request: gr.Request, edited: gr.EditData, *where: Any
    ) -> Iterator[Outputs]:
        """`ask` with a question that has been written otherwise."""
        before, _ = before_question(plain_messages(history), _index(edited.index))
        yield from self.ask(str(edited.value), before, request, *where)

    def ready(self) -> Any:
        """The question box after an answer, whole or stopped."""
        return gr.Textbox(submit_btn=True, stop_btn=False)

    def undo(self, history: list[Message], sections: list[str], request: gr.Request) -> Outputs:
        """(messages, panel, sections, question box) without the last question, which can be asked again."""
        before, question = before_question(plain_messages(history))
        sections = _aligned(sections, before)
        return before, panel_markdown(sections, language_of(request)), sections, question

    # --- conversations --------------------------------------------------------------------------------------

    def keep(self, saved: Any, own_id: str, history: list[Message], sections: list[str]) -> Outputs:
        """(what the browser keeps, this conversation's id, the list)."""
        own_id, everything = kept(saved, own_id, history, sections)
        return everything, own_id, gr.Radio(choices=choices(everything), value=own_id or None)

    def open(self, own_id: str | None, saved: Any, request: gr.Request) -> Outputs:
        """(messages, panel, sections, id) of a kept conversation."""
        messages, sections = restored(saved, own_id or "")
        return messages, panel_markdown(sections, language_of(request)), sections, own_id or ""

    def begin_again(self, request: gr.Request) -> Outputs:
        """(messages, panel, sections, id, list) of an empty conversation; what is kept stays."""
        return [], panel_markdown([], language_of(request)), [], "", gr.Radio(value=None)

    def drop(self, saved: Any, own_id: str, request: gr.Request) -> Outputs:
        """(kept, panel, sections, id, list) once this conversation is cleared."""
        left = kept(saved, own_id, [], [])[1]
        return left, panel_markdown([], language_of(request)), [], "", gr.Radio(choices=choices(left), value=None)

    def drop_all(self, request: gr.Request) -> Outputs:
        """(kept, messages, panel, sections, id, list) with nothing in them."""
        return [], [], panel_markdown([], language_of(request)), [], "", gr.Radio(choices=[], value=None)

    # --- around it ------------------------------------------------------------------------------------------

    def greet(self, saved: Any, request: gr.Request) -> Outputs:
        """(chatbot, panel, languages, list, overview) as the page opens."""
        lang = language_of(request)
        facts = self._facts()
        chatbot = gr.Chatbot(
            examples=[{"text": question} for question in examples(facts, lang)],
            feedback_options=feedback_options(lang),
        )
        known = [(f"{own_name(tag)} ({n:,})", tag) for tag, n in facts.languages.items() if tag]
        kept_ones = gr.Radio(choices=choices(saved), value=None)
        return chatbot, panel_markdown([], lang), gr.Dropdown(choices=known), kept_ones, self._overview(facts, lang)

    def like(self, history: list[Message], request: gr.Request, liked: gr.LikeData) -> None:
        """Store an opinion, and say so."""
        lang, messages = language_of(request), plain_messages(history)
        index = _index(liked.index)
        if index is None or not 0 <= index < len(messages):
            return
        said = message_text(messages[index])
        _, question = before_question(messages, index)
        opinion, answer_id = opinion_of(liked.liked), answer_id_of(said)
        if not self.remembered.is_new(str(request.session_hash), str(index), answer_id, opinion, question):
            return
        try:
            self.store(feedback_on(opinion, question, plain_answer(said), self.remembered.get(answer_id)))
        except (OSError, Refusal) as error:
            _log.warning("feedback could not be stored: %r", error)
            gr.Warning(phrase("not_stored", lang, Part.PAGE))
        else:
            gr.Info(phrase("thanks", lang, Part.PAGE))

    def upload(self, files: Sequence[str] | None, request: gr.Request) -> Iterator[Outputs]:
        """(what became of each file, overview, file field) as they are added; then the field takes others."""
        if self.documents is None:
            return
        lang = language_of(request)
        paths = [Path(file) for file in files or []]
        try:
            for rows in add_files(paths, self.documents):
                yield rows_html(rows, len(paths), lang), gr.skip(), gr.skip()
        finally:
            _forget(paths)
        self.corpus.forget()
        yield gr.skip(), self._overview(self._facts(), lang), gr.File(value=None)

    def _facts(self) -> Facts:
        try:
            return self.corpus.facts()
        except IndexProblem as error:
            _log.warning("the corpus could not be counted: %s", error)
            return Facts()

    def _overview(self, facts: Facts, lang: str) -> str:
        return overview(facts, lang) if facts.languages else f"*{inert(phrase('index_problem', lang, Part.PAGE))}*"


def _aligned(sections: Sequence[str], messages: Sequence[Message]) -> list[str]:
    """One section an answer: those of answers that are no longer there go."""
    n_answers = sum(message["role"] == "assistant" for message in messages)
    return [*sections[:n_answers], *[""] * (n_answers - len(sections))]


def _forget(paths: Sequence[Path]) -> None:
    """Remove gradio's copies: the index has its own."""
    for path in paths:
        if path.is_relative_to(get_upload_folder()):
            path.unlink(missing_ok=True)


def _index(index: Any) -> int | None:
    """The number of a message in gradio's event data."""
    first = index[0] if isinstance(index, list | tuple) and index else index
    return first if isinstance(first, int) else None
