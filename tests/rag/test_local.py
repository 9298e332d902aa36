"""Models of the transformers library: a tiny real one, saved and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from tokenizers import Tokenizer

from index.encoders.base import Encoder
from index.store.sqlite import EmbeddedBackend
from rag.answerers.generative import GenerativeAnswerer
from rag.answerers.local import TransformersChatModel
from rag.answerers.models import ModelLimits, load_chat_model, stream_text
from rag.chain import Chain, ChainSettings
from rag.errors import ModelUnavailable

WORDS = ["<pad>", "<unk>", "<eos>", "yes", "no", "the", "lighthouse", "was", "opened", "in", "1861", "S:", "U:", "A:"]
PLAIN = "{% for m in messages %}{{ {'user': 'U:', 'assistant': 'A:'}[m['role']] }} {{ m['content'] }} {% endfor %}A:"
WITH_SYSTEM = PLAIN.replace("{'user'", "{'system': 'S:', 'user'")


def tiny_chat_model(folder: Path, template: str | None = PLAIN) -> Path:
    """A real, if untrained, GPT-2, saved as transformers saves it."""
    import torch
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    tokens = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokens.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, unk_token="<unk>", pad_token="<pad>", eos_token="<eos>"
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(WORDS), n_positions=4096, n_embd=16, n_layer=1, n_head=2, initializer_range=1.0,
            bos_token_id=None, eos_token_id=None, pad_token_id=0,
        )
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_chat_model(tmp_path_factory.mktemp("local") / "tiny")


def written_by_hand(folder: Path, prompt: str, n: int) -> str:
    """The `n` most probable next words, one forward pass each."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    n_asked = ids.shape[1]
    with torch.no_grad():
        for _ in range(n):
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
    return str(tokenizer.decode(ids[0, n_asked:], skip_special_tokens=True))


def test_the_answer_is_the_models_own_greedy_one(tiny: Path) -> None:
    model = TransformersChatModel(model_name=str(tiny), max_new_tokens=8)
    expected = written_by_hand(tiny, "U: was the lighthouse opened A:", 8)
    assert len(set(expected.split())) > 1
    messages = [HumanMessage("was the lighthouse opened")]
    pieces = list(stream_text(model, messages, ModelLimits()))
    assert len(pieces) > 1
    assert "".join(pieces).split() == expected.split()
    assert str(model.invoke(messages).content).split() == expected.split()


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        (WITH_SYSTEM, "S: yes no U: the lighthouse A: was opened U: in 1861 A:"),
        (PLAIN, "U: yes no the lighthouse A: was opened U: in 1861 A:"),  # before the first question
    ],
)
def test_a_conversation_goes_through_the_models_own_template(tmp_path: Path, template: str, prompt: str) -> None:
    folder = tiny_chat_model(tmp_path / "tiny", template)
    model = TransformersChatModel(model_name=str(folder), max_new_tokens=6)
    messages = [
        SystemMessage("yes no"),
        HumanMessage("the lighthouse"),
        AIMessage("was opened"),
        HumanMessage("in 1861"),
    ]
    expected = written_by_hand(folder, prompt, 6)
    assert str(model.invoke(messages).content).split() == expected.split()


def test_whoever_stops_listening_stops_the_writing(tiny: Path) -> None:
    model = TransformersChatModel(model_name=str(tiny), max_new_tokens=4_000)
    n_passes = 0

    def count(*_: Any) -> None:
        nonlocal n_passes
        n_passes += 1

    model._model.register_forward_hook(count)
    pieces = model.stream([HumanMessage("yes")])
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    # The next answer waits for its turn: once it has it, nobody writes the first one any more.
    with model._turn:
        assert 0 < n_passes < 1_000


def test_a_model_that_fails_while_it_writes_fails_in_the_readers_thread(tiny: Path) -> None:
    model = TransformersChatModel(model_name=str(tiny), max_new_tokens=8)
    with pytest.raises(Exception, match="index out of range"):
        list(model.stream([HumanMessage("yes " * 5_000)]))  # more than its positions


def test_a_question_is_answered_whatever_a_tiny_model_writes(
    tiny: Path, sample_backend: EmbeddedBackend, encoder: Encoder
) -> None:
    model = load_chat_model(f"transformers:{tiny}")
    assert isinstance(model, TransformersChatModel)
    short = model.model_copy(update={"max_new_tokens": 16})
    chain = Chain(sample_backend, encoder, GenerativeAnswerer(short), ChainSettings(min_relevance=0.0))
    answer = chain.invoke("How much did the Webb telescope cost?")
    assert answer.text
    assert answer.warnings  # of what it wrote nothing is borne out, or it wrote nothing


def test_a_model_that_is_not_there_or_not_for_conversation_is_refused_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"is not on this machine.*hf download nobody/nothing"):
        load_chat_model("transformers:nobody/nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelUnavailable, match="check the model in"):
        load_chat_model(f"transformers:{tmp_path / 'empty'}")
    with pytest.raises(ModelUnavailable, match=r"no chat template.*-Instruct"):
        load_chat_model(f"transformers:{tiny_chat_model(tmp_path / 'bare', None)}")
    with pytest.raises(ModelUnavailable, match="cannot be set up"):
        load_chat_model("transformers:")
