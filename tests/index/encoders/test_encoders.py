from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.embeddings.fake import DeterministicFakeEmbedding
from model2vec import StaticModel
from model2vec.persistence.persistence import save_pretrained
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace

from index.encoders import load_encoder
from index.encoders.base import Encoder, FloatArray
from index.encoders.others import TextEncoder
from index.encoders.static import EMBEDDED, StaticEncoder
from index.encoders.words import is_sound
from index.errors import EncoderUnavailable
from index.ingest import ingest
from index.search import search
from index.store.sqlite import EmbeddedBackend

ROOT = Path(__file__).parents[3]
TEXTS = [
    "The James Webb Space Telescope left Earth on Christmas Day 2021.",
    "韋伯太空望遠鏡於2021年聖誕節發射升空。",
    "韦伯太空望远镜于2021年圣诞节发射升空。",
    "제임스 웹 우주망원경은 2021년 성탄절에 지구를 떠났다.",
    unicodedata.normalize("NFD", "제임스 웹 우주망원경은 2021년 성탄절에 지구를 떠났다."),
    "ジェイムズ・ウェッブ宇宙望遠鏡は㋿を知らない。",
    "กล้องโทรทรรศน์อวกาศเจมส์ เวบบ์ออกจากโลกในวันคริสต์มาส",
    "غادر تلسكوب جيمس ويب الفضائي الأرض يوم عيد الميلاد.",
    "Космический телескоп «Джеймс Уэбб» покинул Землю.",
    "Το τηλεσκόπιο ΤΖΕΪΜΣ ΓΟΥΕΜΠ έφυγε από τη Γη· ΟΔΟΣ.",
    "जेम्स वेब अंतरिक्ष दूरबीन ने पृथ्वी को छोड़ा।",
    "טלסקופ החלל ג'יימס וב עזב את כדור הארץ.",
    "Kính viễn vọng không gian James Webb rời Trái Đất.",
    "👩‍👩‍👧‍👦 🇰🇷 mixed 한국어 and English, ＡＢＣ １２３",
    "[UNK] stands in the text",
]


# --- the embedded encoder -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference() -> StaticModel:
    return StaticModel.from_pretrained(EMBEDDED)


def test_its_vectors_are_those_of_model2vec(encoder: Encoder, reference: StaticModel) -> None:
    expected = reference.encode(TEXTS, max_length=None)
    assert np.abs(encoder.encode_passages(TEXTS) - expected).max() < 1e-6
    assert np.abs(encoder.encode_queries(TEXTS) - expected).max() < 1e-6
    assert np.linalg.norm(expected, axis=1) == pytest.approx([1.0] * len(TEXTS), abs=1e-5)


def test_an_empty_text_has_a_zero_row_and_no_nan(encoder: Encoder) -> None:
    vectors = encoder.encode_passages(["", "words", "", "𒀀𒀁"])  # the last is unknown to it
    assert not vectors[[0, 2]].any()
    assert np.isfinite(vectors).all()
    assert float(vectors[1] @ vectors[1]) == pytest.approx(1.0, abs=1e-5)
    assert encoder.encode_passages([]).shape == encoder.encode_sentences([]).shape == (0, encoder.dim)
    assert encoder.count_tokens([]) == []


def test_a_vector_does_not_depend_on_the_other_texts_of_its_batch(encoder: Encoder) -> None:
    alone = np.concatenate([encoder.encode_passages([text]) for text in TEXTS])
    order = np.random.default_rng(0).permutation(len(TEXTS))
    assert np.array_equal(encoder.encode_passages(TEXTS), alone)
    assert np.array_equal(encoder.encode_passages([TEXTS[i] for i in order]), alone[order])
    long = " ".join(TEXTS) * 80
    assert encoder.count_tokens([long])[0] > 16_384  # more than is summed at once
    vectors = encoder.encode_passages([long, *TEXTS * 40, long])
    assert np.array_equal(vectors[1:-1], np.tile(alone, (40, 1)))
    assert np.array_equal(vectors[0], vectors[-1])
    assert np.array_equal(vectors[:1], encoder.encode_passages([long]))


def test_the_whole_of_a_passage_is_the_vector_of_its_joined_sentences(encoder: Encoder) -> None:
    passages = [
        ["The launch went well.", "Nothing broke!", "Engineers cheered."],
        ["發射順利。", "沒有故障。"],
        ["발사는 순조로웠다.", "고장은 없었다.", "모두 기뻐했다.", "끝."],
        ["One sentence only."],
    ]
    joined = encoder.encode_passages([" ".join(sentences) for sentences in passages])
    assert np.abs(encoder.encode_sentences(passages) - joined).max() < 1e-6


def test_it_knows_the_languages_it_was_trained_on(encoder: Encoder) -> None:
    assert {"en", "zh", "ko", "ja", "ar", "th"} <= encoder.languages
    assert "sw" not in encoder.languages
    assert encoder.max_tokens is None


# --- a static model in a directory --------------------------------------------------------------------------


def small_static(folder: Path, *, seed: int = 0) -> Path:
    """A model2vec directory with weights and a mapping of several tokens to one row."""
    words = ["[UNK]", "▁", *(f"▁{word}" for word in "tea is hot and cold water runs".split()), *"abcdefgh"]
    tokenizer = Tokenizer(Unigram([(word, -float(i)) for i, word in enumerate(words)], unk_id=0))
    generator = np.random.default_rng(seed)
    save_pretrained(
        folder,
        generator.standard_normal((5, 8)).astype(np.float32),
        tokenizer,
        {"model_type": "model2vec", "normalize": True, "languages": ["en"]},  # type: ignore[typeddict-unknown-key]
        create_model_card=False,
        weights=generator.random(len(words)).astype(np.float32),
        mapping=(np.arange(len(words)) % 5).astype(np.int32),
    )
    return folder


def test_a_static_directory_with_weights_and_mapping_gives_model2vecs_vectors(tmp_path: Path) -> None:
    folder = small_static(tmp_path / "m")
    encoder = load_encoder(str(folder))
    texts = ["▁tea▁is▁hot", "▁cold▁waterabc", "▁runs?▁tea"]
    assert isinstance(encoder, StaticEncoder)
    assert np.abs(encoder.encode_passages(texts) - StaticModel.from_pretrained(folder).encode(texts)).max() < 1e-6
    assert (encoder.name, encoder.dim, encoder.languages) == (str(folder), 8, frozenset({"en"}))
    assert encoder.fingerprint == load_encoder(str(small_static(tmp_path / "same"))).fingerprint
    assert encoder.fingerprint != load_encoder(str(small_static(tmp_path / "other", seed=1))).fingerprint
    for file in ("model.safetensors", "tokenizer.json"):
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: len(content) // 2])
        with pytest.raises(EncoderUnavailable, match=f"{folder} cannot be loaded"):
            load_encoder(str(folder))
        (folder / file).write_bytes(content)


# --- word by word -------------------------------------------------------------------------------------------


def hand_made(folder: Path) -> StaticEncoder:
    """Tokens at known angles: red and rouge 1 apart, blue at right angles to both, `of` short."""
    tokens = {"[UNK]": (9, 9), "▁red": (2, 0), "▁rouge": (1.2, 1.6), "▁blue": (0, 3), "▁of": (0.5, 0)}
    scores = [(token, -float(i)) for i, token in enumerate(tokens)]
    tokenizer = Tokenizer(Unigram(scores, unk_id=0))
    tokenizer.pre_tokenizer = Metaspace("▁", prepend_scheme="always", split=True)
    save_pretrained(
        folder,
        np.array(list(tokens.values()), np.float32),
        tokenizer,
        {"model_type": "model2vec", "normalize": True},
        create_model_card=False,
    )
    encoder = load_encoder(str(folder))
    assert isinstance(encoder, StaticEncoder)
    return encoder


def compared(encoder: StaticEncoder, question: str, texts: Sequence[str]) -> FloatArray:
    return encoder.max_sim(question, encoder.packed_words([[text] for text in texts]))


def test_max_sim_is_the_mean_of_the_best_cosines_weighted_by_squared_length(tmp_path: Path) -> None:
    encoder = hand_made(tmp_path / "m")
    # Squared lengths: red 4, rouge 4, blue 9, of 0.25. cos(red, rouge) = 0.6, cos(blue, rouge) = 0.8.
    rouge, red, blue = (4 * 0.6 + 0.25 * 0.6 + 9 * 0.8) / 13.25, (4 + 0.25) / 13.25, (4 + 0.25 + 9) / 13.25
    scores = compared(encoder, "red of blue", ["rouge", "red red", "blue of"])
    assert scores == pytest.approx([rouge, red, blue], abs=5e-4)
    assert compared(encoder, "rouge", ["rouge", "red red", "blue of"]) == pytest.approx([1.0, 0.6, 0.8], abs=5e-4)
    # What has no known token has no similarity.
    assert [compared(encoder, one, ["", "red", "xyz"]).tolist() for one in ("red", "", "xyz")] == [
        [0, 1, 0], [0, 0, 0], [0, 0, 0]
    ]  # fmt: skip
    assert encoder.max_sim("red", []).shape == (0,)


def test_max_sim_is_the_same_whoever_asks_and_how_often(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(encoder, StaticEncoder)
    passages = [f"The lighthouse number {i} 등대 灯台 was opened in {1800 + i}." for i in range(60)]
    questions = ["Which lighthouse was opened in 1843?", "등대는 언제?", "灯台"]
    expected = np.array([compared(encoder, question, passages) for question in questions])
    monkeypatch.setattr("index.encoders.static._MAX_SCALES", 40)  # so that much is forgotten all the time
    fresh = StaticEncoder(encoder.path, "fresh")

    def ask(i: int) -> list[FloatArray]:
        return [compared(fresh, question, passages[i : i + 20]) for question in questions]

    with ThreadPoolExecutor(4) as pool:
        for i, found in enumerate(pool.map(ask, range(40))):
            np.testing.assert_allclose(np.array(found), expected[:, i : i + 20], atol=5e-4)


def test_words_are_stored_as_their_tokens_with_one_over_the_length_of_their_vector(tmp_path: Path) -> None:
    encoder = hand_made(tmp_path / "m")
    red, of = encoder._words("red")[0], encoder._words("of")[0]
    (packed,) = encoder.packed_words([["red of red"]])
    tokens = b"".join(token.to_bytes(3, "little") for token in (*red, *of))
    assert packed == struct.pack("<IBBee", 2, 1, 1, 1 / 2, 1 / 0.5) + tokens
    assert encoder.packed_words([[]]) == [struct.pack("<I", 0)]
    assert not any(map(is_sound, (b"", packed[:-1], packed + b"x", packed[:5], struct.pack("<I", 3))))


def test_a_word_of_very_many_tokens_is_compared_by_the_first(encoder: Encoder) -> None:
    assert isinstance(encoder, StaticEncoder)
    data = "".join(f"q{i * 7919 % 1000}x" for i in range(400))
    (word,) = encoder._words(data)
    assert len(word) > 255
    packed = encoder.packed_words([[data]])
    assert is_sound(packed[0])
    assert encoder.max_sim(data, packed)[0] == pytest.approx(1, abs=5e-4)


# --- sentence-transformers ----------------------------------------------------------------------------------

_LIMIT = 64


TinyBert = Callable[..., Path]


@pytest.fixture(scope="module")
def tiny_bert(make_cross_encoder: Callable[[Path], Path]) -> TinyBert:
    """A function that saves a real, if untrained, transformer with mean pooling, as sentence-transformers saves it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    def make(folder: Path, prompts: dict[str, str] | None = None) -> Path:
        raw = make_cross_encoder(folder.with_name(folder.name + "-raw"))
        modules = [Transformer(str(raw), max_seq_length=_LIMIT), Pooling(32, "mean")]
        SentenceTransformer(modules=modules, prompts=prompts or {}, device="cpu").save(str(folder))
        return folder

    return make


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory, tiny_bert: TinyBert) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("bert") / "tiny", {"query": "query: ", "passage": "passage: "})


def plain(folder: Path, texts: Sequence[str], prefix: str) -> FloatArray:
    """The vectors by sentence-transformers itself, the prompt written before each text."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    vectors: FloatArray = model.encode([prefix + text for text in texts], prompt="", normalize_embeddings=True)
    return vectors


ENGLISH = ["tea is hot", "where does water run?", "a", ""]


def test_importing_the_encoders_does_not_import_torch() -> None:
    code = (
        "import sys; from index.encoders import load_encoder; load_encoder('embedded').encode_queries(['x']);"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'langchain'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_transformer_gives_the_vectors_of_sentence_transformers_with_the_prompts(bert: Path) -> None:
    encoder = load_encoder(str(bert))
    queries, passages = encoder.encode_queries(ENGLISH), encoder.encode_passages(ENGLISH)
    assert np.abs(queries - plain(bert, ENGLISH, "query: ")).max() < 1e-5
    assert np.abs(passages - plain(bert, ENGLISH, "passage: ")).max() < 1e-5
    assert np.abs(queries - passages).max() > 1e-3
    assert np.linalg.norm(passages, axis=1) == pytest.approx([1.0] * 4, abs=1e-5)
    # 64 positions - [CLS] and [SEP] - the seven letters of "passage" and ":" = 54
    assert encoder.max_tokens == 54
    # Without the special tokens: t ##e ##a; h ##o ##t ?.
    assert encoder.count_tokens(["tea", "hot?", ""]) == [3, 4, 0]


def test_the_fingerprint_of_a_transformer_is_the_same_on_each_load_and_follows_weights_prompts_and_pooling(
    bert: Path, tmp_path: Path
) -> None:
    first = load_encoder(str(bert)).fingerprint
    assert load_encoder(str(shutil.copytree(bert, tmp_path / "same"))).fingerprint == first
    changes = {
        "model.safetensors": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        "config_sentence_transformers.json": lambda data: data.replace(b'"query: "', b'"q: "'),
        "1_Pooling/config.json": lambda data: data.replace(b'"mean"', b'"cls"'),
    }
    for i, (name, change) in enumerate(changes.items()):
        file = shutil.copytree(bert, tmp_path / str(i)) / name
        file.write_bytes(change(file.read_bytes()))
        assert load_encoder(str(tmp_path / str(i))).fingerprint != first, name


@pytest.mark.parametrize(
    ("name", "query", "passage"),
    [
        ("multilingual-e5-small", "query: ", "passage: "),
        ("e5-mistral-7b-instruct", "", ""),
        ("bge-small-en-v1.5", "Represent this sentence for searching relevant passages: ", ""),
        ("bge-base-zh-v1.5", "为这个句子生成表示以用于检索相关文章：", ""),
        ("some-model", "", ""),
        ("own/multilingual-e5-small", "ask ", "read "),
    ],
)
def test_families_without_prompts_in_their_files_get_them_by_name(
    tmp_path: Path, tiny_bert: TinyBert, name: str, query: str, passage: str
) -> None:
    (tmp_path / "own").mkdir()
    folder = tiny_bert(tmp_path / name, {"query": query, "document": passage} if name.startswith("own/") else None)
    encoder = load_encoder(str(folder))
    assert np.abs(encoder.encode_queries(ENGLISH) - plain(folder, ENGLISH, query)).max() < 1e-5
    assert np.abs(encoder.encode_passages(ENGLISH) - plain(folder, ENGLISH, passage)).max() < 1e-5


def test_an_index_made_with_a_transformer_finds_its_passages_and_truncates_none(bert: Path, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    text = (
        "Tea came by ship. Nobody knew its price, and so the first cargo was sold by weight in the harbour!\n\n"
        + "zebra " * 60
        + "ends here. Water runs down the hill. "
        + " ".join(f"Line {i} of the long part is short." for i in range(12))
    )
    (tmp_path / "tea.txt").write_text(text, "utf-8")
    encoder = load_encoder(str(bert))
    report = ingest(tmp_path / "index", [str(tmp_path / "tea.txt")], encoder, n_workers=1)
    assert (report.added, report.failed) == (1, [])
    backend = EmbeddedBackend(tmp_path / "index")
    with backend.snapshot() as snapshot:
        assert sum(snapshot.languages().values()) > 5
        found = search(snapshot, encoder, "Water runs down the hill.", k=100)
        pids = [hit.pid for hit in snapshot.nearest(encoder.encode_queries(["Water"])[0], 10_000)]
        passages = list(snapshot.passages(pids).values())
        assert len(passages) == sum(snapshot.languages().values())
        stored = snapshot.vectors([passage.pid for passage in passages])
    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(bert)
    for passage in passages:
        assert len(tokenizer("passage: " + passage.text)["input_ids"]) <= _LIMIT
        # The stored vector is the passage by sentence-transformers in 8 bits.
        sentences = [passage.text[a - passage.start : b - passage.start] for a, b in passage.sentences]
        whole = plain(bert, [" ".join(sentences)], "passage: ")[0]
        assert np.abs(stored[passage.pid].vector - whole).max() < 3e-3
    assert found.passages[0].passage.text.find("Water runs down the hill.") >= 0
    backend.close()


# --- LangChain ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found", "remedy"),
    [
        ("nobody/no-such-model", "'nobody/no-such-model' is not on this machine", "hf download nobody/no-such-model"),
        ("langchain:cohere:embed-v4.0", "cohere:embed-v4.0", "pip install langchain-cohere"),
        ("langchain:x", "x", "pip install langchain-x"),
        ("langchain:openai:text-embedding-3-small", "", "pip install langchain-openai, and set the provider's key"),
    ],
)
def test_an_encoder_that_is_not_there_is_an_error_that_names_the_command(
    name: str, found: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(EncoderUnavailable) as caught:
        load_encoder(name)
    assert found in caught.value.found
    assert caught.value.remedy.startswith(remedy)


class Table(Embeddings):
    """Embeddings by a table; a query points the other way than a document."""

    vectors = {"tea": [3.0, 4.0], "water": [0.0, 2.0], "nothing": [0.0, 0.0]}  # noqa: RUF012

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.vectors[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [-x for x in self.vectors.get(text, [1.0, 0.0])]


def test_langchain_embeddings_come_out_with_unit_length() -> None:
    encoder = TextEncoder(Table(), "table")
    # (3, 4) / 5; (0, 2) / 2; zero stays zero
    assert encoder.encode_passages(["tea", "water", "nothing"]).tolist() == [
        pytest.approx([0.6, 0.8]),
        [0.0, 1.0],
        [0.0, 0.0],
    ]
    assert encoder.encode_queries(["tea"]).tolist() == [pytest.approx([-0.6, -0.8])]
    assert encoder.encode_passages([]).shape == (0, 2)
    assert (encoder.name, encoder.dim, encoder.max_tokens, encoder.languages) == ("table", 2, None, frozenset())
    assert encoder.fingerprint == TextEncoder(Table(), "table").fingerprint
    assert encoder.fingerprint != TextEncoder(Table(), "other").fingerprint
    assert encoder.fingerprint != TextEncoder(DeterministicFakeEmbedding(size=16), "table").fingerprint


# --- the public fake ----------------------------------------------------------------------------------------


def test_e5_needs_nothing_that_is_not_in_the_package_and_finds_across_languages() -> None:
    e5 = load_encoder("e5")
    assert (e5.name, e5.dim) == ("e5", 384)
    passages = e5.encode_passages(["Die Katze schläft auf dem Sofa.", "Die Börse schloss im Minus."])
    assert np.argmax(passages @ e5.encode_queries(["Where does the cat sleep?"])[0]) == 0
