"""A model of the transformers library on this machine as a LangChain chat model: `transformers:NAME`.

LangChain's own package for it does not go with the current huggingface-hub; docs/decisions/0012.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

from rag.errors import ModelUnavailable

_MAX_NEW_TOKENS = 1024


class TransformersChatModel(BaseChatModel):
    """Streams what the model called `model_name` (hub name or directory) writes, by greedy search.

    One answer at a time; whoever stops listening stops the writing.
    """

    model_name: str
    max_new_tokens: int = _MAX_NEW_TOKENS
    _model: Any = PrivateAttr()
    _tokenizer: Any = PrivateAttr()
    _turn: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def model_post_init(self, context: Any) -> None:
        """Load the model; imports torch.

        Raises:
            ModelUnavailable: The libraries or the model cannot be had here, or it is not made for conversation.
        """
        self._tokenizer, self._model = _load(self.model_name)

    @property
    def _llm_type(self) -> str:
        return "transformers"

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        from transformers import TextIteratorStreamer

        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        stopped = threading.Event()
        failed: list[Exception] = []

        def write() -> None:
            try:
                with self._turn:
                    if not stopped.is_set():
                        self._write(messages, streamer, stopped)
            except Exception as error:  # noqa: BLE001 - raised in the reader's thread, below
                failed.append(error)
            finally:
                streamer.end()  # type: ignore[no-untyped-call]

        threading.Thread(target=write, daemon=True, name="transformers").start()
        try:
            for piece in streamer:
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        finally:
            stopped.set()
        if failed:
            raise failed[0]

    def _write(self, messages: list[BaseMessage], streamer: Any, stopped: threading.Event) -> None:
        inputs = self._tokenizer.apply_chat_template(
            _conversation(messages, self._tokenizer.chat_template),
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._model.device)
        self._model.generate(
            **inputs,
            streamer=streamer,
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
            stopping_criteria=[lambda ids, scores, **_: _all_stopped(ids, stopped.is_set())],
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = "".join(str(chunk.message.content) for chunk in self._stream(messages))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])


def _all_stopped(ids: Any, stopped: bool) -> Any:
    """One truth value a row, as generation wants it."""
    import torch

    return torch.full((ids.shape[0],), stopped, dtype=torch.bool, device=ids.device)


def _conversation(messages: list[BaseMessage], template: str) -> list[dict[str, str]]:
    """The messages as a chat template takes them; the system's goes before the first question where it takes none."""
    system = "\n\n".join(message.text for message in messages if isinstance(message, SystemMessage))
    turns = [
        {"role": "user" if isinstance(message, HumanMessage) else "assistant", "content": str(message.text)}
        for message in messages
        if not isinstance(message, SystemMessage)
    ]
    if not system:
        return turns
    if "system" in template and "System role not supported" not in template:
        return [{"role": "system", "content": system}, *turns]
    return [{**turns[0], "content": f"{system}\n\n{turns[0]['content']}"}, *turns[1:]]


def _load(name: str) -> tuple[Any, Any]:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise ModelUnavailable(
            f"the model {name!r} needs transformers and torch, which are not there",
            "the extra `models`",
            "pip install 'dragoman[models]'",
        ) from error
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, local_files_only=offline)
        model: Any = AutoModelForCausalLM.from_pretrained(
            name, trust_remote_code=False, local_files_only=offline, dtype="auto"
        )
    except Exception as error:
        raise ModelUnavailable(
            f"the model {name!r} is not on this machine and could not be fetched ({type(error).__name__})",
            "a model of the hub for conversation, as Qwen/Qwen3-4B-Instruct-2507, or a directory with one",
            f"check the model in {name}" if Path(name).exists() else f"hf download {name}",
        ) from error
    if not tokenizer.chat_template:
        raise ModelUnavailable(
            f"the model {name!r} has no chat template", "one made for conversation", "name its -Instruct or -Chat form"
        )
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return tokenizer, model.to(device).eval()
