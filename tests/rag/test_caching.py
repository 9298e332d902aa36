"""A model that remembers: the same question of the same passages is asked once, whatever the keys of the prompt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from index.encoders.base import Encoder
from index.store.sqlite import EmbeddedBackend
from rag.answer import Answer, Usage
from rag.answerers.caching import CachingChatModel
from rag.answerers.generative import GenerativeAnswerer
from rag.answerers.models import ModelLimits
from rag.chain import Chain, ChainSettings
from rag.testing import ScriptedChatModel

QUESTION = "How much did the Webb telescope cost?"
ALWAYS = ChainSettings(min_relevance=0.0)


def cached(model: ScriptedChatModel, path: Path, spec: str = "test:one") -> CachingChatModel:
    return CachingChatModel(model=model, spec=spec, path=path)


def untimed(answer: Answer) -> Answer:
    return replace(answer, timings_ms={}, usage=Usage())


def script(keys: list[str]) -> list[Any]:
    return ["The telescope cost ten billion dollars", f" [{keys[1]}] [{keys[0]}]. And ", "more. [99]"]


def test_the_second_time_the_model_is_not_asked_and_the_answer_is_the_same(
    sample_backend: EmbeddedBackend, encoder: Encoder, tmp_path: Path
) -> None:
    model = ScriptedChatModel(script=script)
    answers = []
    for _ in range(2):  # opened anew: what is remembered is on disk
        remembering = cached(model, tmp_path / "answers.sqlite")
        answers.append(Chain(sample_backend, encoder, GenerativeAnswerer(remembering), ALWAYS).invoke(QUESTION))
        remembering.close()
    assert len(model.calls) == 1
    assert (remembering.n_hits, remembering.n_misses) == (1, 0)
    assert untimed(answers[0]) == untimed(answers[1])
    assert [citation.n for citation in answers[0].citations][:2] == [1, 2]  # the keys of each prompt are new, and found
    assert any("1 citations of passages that were not given" in warning for warning in answers[1].warnings)


def ask(model: CachingChatModel, *texts: str) -> str:
    return str(model.invoke([SystemMessage(texts[0]), *map(HumanMessage, texts[1:])]).content)


def test_every_word_of_the_prompt_and_the_model_shape_the_answer(tmp_path: Path) -> None:
    model = ScriptedChatModel(script=["yes"])
    path = tmp_path / "answers.sqlite"
    one, other = cached(model, path), cached(model, path, "test:other")
    assert [ask(one, "s", "a"), ask(one, "s", "a")] == ["yes", "yes"]
    assert len(model.calls) == 1
    ask(one, "s", "b")
    ask(one, "S", "a")
    ask(one, "s", "a", "a")
    ask(other, "s", "a")
    assert len(model.calls) == 5
    one.close()
    other.close()


def test_two_passages_that_change_places_are_another_prompt(tmp_path: Path) -> None:
    model = ScriptedChatModel(script=["yes"])
    remembering = cached(model, tmp_path / "answers.sqlite")
    first = "=====passages-0123456789abcdef=====\n[mno] (t)\none\n[xyz] (t)\ntwo"
    ask(remembering, "s", first)
    ask(remembering, "s", first.replace("mno", "qrs").replace("0123", "3210"))
    assert len(model.calls) == 1
    ask(remembering, "s", first.replace("one", "1").replace("two", "one").replace("1\n", "two\n"))
    assert len(model.calls) == 2
    remembering.close()


@pytest.mark.parametrize("pieces", [[RuntimeError("busy")], ["half an ", RuntimeError("gone")]])
def test_what_fails_or_breaks_off_is_not_remembered(tmp_path: Path, pieces: list[Any]) -> None:
    model = ScriptedChatModel(script=pieces)
    remembering = cached(model, tmp_path / "answers.sqlite")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            ask(remembering, "s", "a")
    assert len(model.calls) == 2
    stream = cached(ScriptedChatModel(script=["a ", "b "]), tmp_path / "other.sqlite")
    begun = stream.stream([HumanMessage("a")])
    next(begun)
    begun.close()  # type: ignore[attr-defined]
    assert list(stream.stream([HumanMessage("a")]))
    assert (stream.n_hits, stream.n_misses) == (0, 2)
    remembering.close()
    stream.close()


class Counting(ScriptedChatModel):
    """Tells tokens with its last piece, as providers do."""

    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        chunks = list(super()._stream(*args, **kwargs))
        chunks[-1].message.usage_metadata = {"input_tokens": 700, "output_tokens": 30, "total_tokens": 730}  # type: ignore[attr-defined]
        yield from chunks


def test_tokens_are_told_of_the_model_and_of_what_is_remembered(
    sample_backend: EmbeddedBackend, encoder: Encoder, tmp_path: Path
) -> None:
    plain = Chain(sample_backend, encoder, GenerativeAnswerer(Counting(script=script)), ALWAYS)
    assert plain.invoke(QUESTION).usage == Usage(700, 30, 1)
    remembering = cached(Counting(script=script), tmp_path / "answers.sqlite")
    chain = Chain(sample_backend, encoder, GenerativeAnswerer(remembering), ALWAYS)
    assert [chain.invoke(QUESTION).usage for _ in range(2)] == [Usage(700, 30, 1)] * 2
    remembering.close()
    failing = Counting(script=["", RuntimeError("busy")])
    limits = ModelLimits(n_retries=2, backoff_s=0.0)
    fallen = Chain(sample_backend, encoder, GenerativeAnswerer(failing, limits=limits), ALWAYS).invoke(QUESTION)
    assert fallen.usage.n_calls == 3
    assert Chain(sample_backend, encoder, settings=ALWAYS).invoke(QUESTION).usage == Usage()
