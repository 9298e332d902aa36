"""`python -m eval.retrieval --data FOLDER`: what the whole search finds, in tables."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eval.errors import SetMissing
from eval.measures.roc_auc import roc_auc
from eval.retrieval import collections as sets
from eval.retrieval.collections import Collection, Judged, Question
from eval.retrieval.measure import DENSE_ONLY, UNFAIR, Found, by_search, by_words, found, indexed, merged
from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.errors import IndexProblem
from index.search import search
from index.settings import SearchSettings
from rag.chain import ChainSettings

_PARTS = ("own", "cross", "mixed", "added", "refusal")
_N_ADDED = 1_000  # passages of each language that are added to the English ones


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.retrieval",
        description="Measure the whole search on real indexes: in one language (each leg and both), for every pair, "
        "in a pool of all languages with and without fairness, with languages added, and refusal.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with xquad, drcd, jsquad, nomiracl and others")
    parser.add_argument("--encoder", default="embedded", help="embedded, a folder, or a sentence-transformers model")
    parser.add_argument("--every", type=int, default=6, help="ask every n-th question only")
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS), help="which tables")
    parser.add_argument("--json", type=Path, dest="json_path", help="also write every figure there")
    given = parser.parse_args(arguments)
    console = Console()
    figures: dict[str, Any] = {}
    try:
        encoder = load_encoder(given.encoder)
        for part in given.parts:
            table, figures[part] = _TABLES[part](encoder, given.data, given.every)
            console.print(table)
    except (SetMissing, IndexProblem) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    if given.json_path is not None:
        given.json_path.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return 0


def own_language(encoder: Encoder, data: Path, every: int) -> tuple[Table, dict[str, Any]]:
    """Questions and passages of one language: by words, by vectors, by both."""
    collections = {name: sets.squad(data / file, language) for name, file, language in sets.OWN_LANGUAGE}
    collections |= {f"XQuAD {name}": one for name, one in sets.xquad(data / "xquad").items()}
    table = Table("", "n", "words @1/@5", "nDCG", "vectors @1/@5", "nDCG", "both @1/@5", "nDCG", title="Own language")
    figures: dict[str, Any] = {}
    for name, collection in collections.items():
        asked = collection.questions[::every]
        gold = [question.gold for question in asked]
        with indexed(collection.documents, encoder) as snapshot:
            legs = {
                "words": found(by_words(snapshot, asked), gold),
                "vectors": found(by_search(snapshot, encoder, asked, DENSE_ONLY), gold),
                "both": found(by_search(snapshot, encoder, asked, SearchSettings()), gold),
            }
        cells = [cell for leg in legs.values() for cell in (_recalls(leg), f"{leg.ndcg_10:.3f}")]
        table.add_row(name, str(len(asked)), *cells)
        figures[name] = {leg: asdict(value) for leg, value in legs.items()}
    return table, figures


def across(encoder: Encoder, data: Path, every: int) -> tuple[Table, dict[str, Any]]:
    """Questions of one language, passages of another: how the whole search compares with its vectors."""
    collections = sets.xquad(data / "xquad")
    figures: dict[str, Any] = {}
    for held, collection in collections.items():
        with indexed(collection.documents, encoder) as snapshot:
            for language, other in collections.items():
                if language != held:
                    asked = other.questions[::every]
                    gold = [_moved(question, held) for question in asked]
                    figures[f"{language}->{held}"] = {
                        name: asdict(found(by_search(snapshot, encoder, asked, settings), gold))
                        for name, settings in (("vectors", DENSE_ONLY), ("both", SearchSettings()))
                    }
    table = Table("", "vectors", "both", "worst loss of both", title=f"Across languages, {len(figures)} pairs")
    for measure in ("recall_1", "recall_5", "ndcg_10"):
        vectors, both = (np.array([pair[leg][measure] for pair in figures.values()]) for leg in ("vectors", "both"))
        worst = max(zip(vectors - both, figures, strict=True))
        table.add_row(measure, f"{vectors.mean():.3f}", f"{both.mean():.3f}", f"{worst[0]:.3f} ({worst[1]})")
    return table, figures


def mixed_pool(encoder: Encoder, data: Path, every: int) -> tuple[Table, dict[str, Any]]:
    """One index of the passages of all languages: which of them are among the first ten for a question."""
    collections = sets.xquad(data / "xquad")
    figures: dict[str, Any] = {}
    with indexed(merged(collections.values()), encoder) as snapshot:
        for name, settings in (("fair", SearchSettings()), ("unfair", UNFAIR)):
            for language, collection in collections.items():
                asked = collection.questions[::every]
                ranked = by_search(snapshot, encoder, asked, settings)
                for held in collections:
                    gold = [_moved(question, held) for question in asked]
                    figures.setdefault(f"{language}->{held}", {})[name] = found(ranked, gold).recall_10
    table = Table("", "fair", "unfair", title="All languages in one index: the passage is among the first ten")
    for label, wanted in (("in another language", False), ("in the question's language", True)):
        chosen = {pair: value for pair, value in figures.items() if (len(set(pair.split("->"))) == 1) == wanted}
        table.add_row(label, *(f"{np.mean([value[name] for value in chosen.values()]):.3f}" for name in _FAIR))
        if not wanted:
            table.add_row("  worst pair", *(_worst(chosen, name) for name in _FAIR))
    return table, figures


def languages_added(encoder: Encoder, data: Path, every: int) -> tuple[Table, dict[str, Any]]:
    """English questions about English passages, before and after passages of other languages are added."""
    english = sets.xquad(data / "xquad")["en"]
    added = _added(data)
    asked = english.questions[::every]
    gold = [question.gold for question in asked]
    figures: dict[str, Any] = {}
    table = Table("", "passages", "fair @1/@5/@10", "unfair @1/@5/@10", title="Other languages added to an English set")
    pools = {"English alone": english.documents}
    for name, collection in added.items():
        pools[f"and {name}"] = {**pools[list(pools)[-1]], **collection.documents}
    for name, documents in pools.items():
        with indexed(documents, encoder) as snapshot:
            own = {
                kind: found(by_search(snapshot, encoder, asked, settings), gold)
                for kind, settings in (("fair", SearchSettings()), ("unfair", UNFAIR))
            }
        table.add_row(
            name, f"{len(documents):,}", *(f"{_recalls(own[kind])} / {own[kind].recall_10:.3f}" for kind in _FAIR)
        )
        figures[name] = {kind: asdict(value) for kind, value in own.items()}
    return table, figures


def _added(data: Path) -> dict[str, Collection]:
    """A thousand passages each of Korean, Chinese and Japanese."""
    judged = sets.nomiracl(data / "nomiracl")
    korean = sets.belebele_passages(data / "belebele-ko").documents
    korean |= _passages_of(judged["ko"], "ko")
    chinese = merged(sets.squad(data / file, language, "zh/") for _, file, language in sets.OWN_LANGUAGE[:1])
    japanese = merged(sets.squad(data / file, language, "ja/") for _, file, language in sets.OWN_LANGUAGE[2:])
    pools = {"ko": korean, "zh": chinese, "ja": japanese}
    return {name: Collection(dict(list(pool.items())[:_N_ADDED])) for name, pool in pools.items()}


def _passages_of(rows: Sequence[Judged], language: str) -> dict[str, tuple[str, str]]:
    texts = dict.fromkeys(text for row in rows for text in row.passages)
    return {f"nomiracl-{language}/{i}": (language, text) for i, text in enumerate(texts)}


def refusal(encoder: Encoder, data: Path, every: int) -> tuple[Table, dict[str, Any]]:
    """Whether the relevance tells questions that ten passages answer from those they do not (NoMIRACL)."""
    threshold = ChainSettings().min_relevance
    table = Table("", "n", "ROC-AUC", "answers that should refuse", "refusals that should answer", title="Refusal")
    figures: dict[str, Any] = {}
    for language, rows in sets.nomiracl(data / "nomiracl").items():
        scores: dict[bool, list[float]] = {True: [], False: []}
        for row in rows[:: max(1, every // 3)]:
            with indexed(_passages_of([row], language), encoder) as snapshot:
                scores[row.answerable].append(search(snapshot, encoder, row.text).relevance)
        figures[language] = {
            "n": sum(map(len, scores.values())),
            "auc": roc_auc(scores[True], scores[False]),
            "hallucination": float(np.mean(np.array(scores[False]) >= threshold)),
            "error": float(np.mean(np.array(scores[True]) < threshold)),
        }
    figures["mean"] = {
        name: float(np.mean([own[name] for own in figures.values()])) for name in ("n", "auc", "hallucination", "error")
    }
    for language, own in figures.items():
        table.add_row(language, f"{own['n']:.0f}", *(f"{own[name]:.3f}" for name in ("auc", "hallucination", "error")))
    return table, figures


_FAIR = ("fair", "unfair")
_TABLES = {
    "own": own_language,
    "cross": across,
    "mixed": mixed_pool,
    "added": languages_added,
    "refusal": refusal,
}


def _moved(question: Question, language: str) -> frozenset[str]:
    """The documents wanted, in another language."""
    return frozenset(f"{language}/{name.partition('/')[2]}" for name in question.gold)


def _recalls(value: Found) -> str:
    return f"{value.recall_1:.3f} / {value.recall_5:.3f}"


def _worst(pairs: dict[str, dict[str, float]], name: str) -> str:
    pair = min(pairs, key=lambda one: pairs[one][name])
    return f"{pairs[pair][name]:.3f} ({pair})"


if __name__ == "__main__":
    sys.exit(main())
