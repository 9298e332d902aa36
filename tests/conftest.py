"""What all tests share: no network, no telemetry, a small index of the sample articles."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="dragoman-state-")  # nothing into the home of who runs them

import pytest

from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.ingest import ingest
from index.store.sqlite import EmbeddedBackend

# A shell starts background jobs with SIGINT ignored, which every child would inherit: tests send it to theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "ui" / "samples" / "articles"
SHARED = ROOT.parent / "shared"


@functools.cache
def characters() -> list[str]:
    """Every assigned character; of the long blocks of Han, Hangul and private use, all alike, every fiftieth."""
    long = {*range(0x3400, 0xA000), *range(0xAC00, 0xD7A4), *range(0xE000, 0xF900), *range(0x20000, 0x110000)}
    codes = (code for code in range(0x110000) if code not in long or code % 50 == 0)
    return [char for char in map(chr, codes) if unicodedata.category(char) not in ("Cn", "Cs")]


@contextmanager
def linear_time() -> Iterator[None]:
    """Fails a block that takes a minute of the processor: all such blocks take about a second, quadratic ones hours."""
    started = time.process_time()
    yield
    assert time.process_time() - started < 60.0


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared evaluation data; tests that need it are skipped without it."""
    if not SHARED.is_dir():
        pytest.skip("the shared evaluation data is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The embedded encoder, loaded once."""
    return load_encoder("embedded")


@pytest.fixture(scope="session")
def sample_index(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """An index of the sample articles; read only."""
    folder = tmp_path_factory.mktemp("samples") / "index"
    report = ingest(folder, [str(SAMPLES)], encoder, n_workers=1)
    assert (report.added, report.failed) == (30, [])
    return folder


@pytest.fixture
def sample_backend(sample_index: Path) -> EmbeddedBackend:
    """The index of the sample articles, opened."""
    return EmbeddedBackend(sample_index)


@pytest.fixture
def without_rights() -> Callable[..., str]:
    """Runs Python code, with arguments, in a process that file rights do bind; returns what it printed."""
    prefix = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may read every file, and setpriv is not here to give that up")
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]

    def run(code: str, *arguments: str) -> str:
        command = [*prefix, sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    return run


@pytest.fixture(scope="session")
def make_cross_encoder() -> Callable[..., Path]:
    """A function that saves a tiny cross-encoder in a folder."""
    return _tiny_cross_encoder


_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,:?!"


def _tiny_cross_encoder(folder: Path, n_labels: int = 1) -> Path:
    """A real, if untrained, cross-encoder, saved as transformers saves it."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_LETTERS, *("##" + c for c in _LETTERS)]
    tokenizer = Tokenizer(WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=128,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, num_labels=n_labels, initializer_range=1.0,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder
