"""FAISS files and views of them, against numpy over the same vectors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest

from index.store.sqlite import vectors as vec
from index.store.sqlite.building import build, build_exact, extended
from index.store.sqlite.codes import ComponentCodes
from index.store.sqlite.manifest import MANIFEST, read_manifest
from index.store.sqlite.vectors import (
    MAX_PARTS,
    SPARE,
    VectorView,
    for_search,
    load,
    load_to_change,
    part_ids,
    save,
)

CODES = 0.06  # what codes of 4 bits tell apart

FP16 = 1e-3


class Vectors:
    """Passages with random unit vectors, in clusters as real text has them; iterable as often as wanted."""

    def __init__(self, n_passages: int, dim: int, seed: int, n_parts: int = 4, languages: str = "en") -> None:
        generator = np.random.default_rng(seed)
        centres = generator.standard_normal((40, dim))
        self.rows: list[tuple[int, str, np.ndarray]] = []
        names = languages.split()
        for pid in range(1, n_passages + 1):
            centre = centres[generator.integers(len(centres))]
            matrix = centre + 0.8 * generator.standard_normal((1 + generator.integers(n_parts), dim))
            matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
            self.rows.append((pid, names[pid % len(names)], matrix.astype(np.float16)))

    def __iter__(self) -> Iterator[tuple[int, str, np.ndarray]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return sum(self.sizes.values())

    @property
    def sizes(self) -> dict[str, int]:
        return sizes_of(self.rows)

    def matrix(self) -> tuple[np.ndarray, np.ndarray]:
        """(passage of each vector, all vectors as float32)."""
        owners = np.concatenate([np.full(len(matrix), pid) for pid, _, matrix in self.rows])
        return owners, np.concatenate([matrix for _, _, matrix in self.rows]).astype(np.float32)

    def nearest(self, query: np.ndarray, n: int, without: set[int] | frozenset[int] = frozenset()) -> dict[int, float]:
        """Passages of the `n` nearest vectors and their best cosines, nearest first."""
        owners, vectors = self.matrix()
        alive = ~np.isin(owners, list(without))
        cosines = vectors[alive] @ query
        best: dict[int, float] = {}
        for i in np.argsort(-cosines, kind="stable")[:n]:
            best.setdefault(int(owners[alive][i]), float(cosines[i]))
        return best


def sizes_of(rows: list[tuple[int, str, np.ndarray]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for _, language, matrix in rows:
        sizes[language] = sizes.get(language, 0) + len(matrix)
    return sizes


NO_IDS = np.empty(0, np.int64)


def searched(built: vec.Vectors) -> vec.Vectors:
    """An index as a reader has it."""
    return vec.Vectors(for_search(built.index), built.partitions)


def queries(n: int, dim: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def assert_same(found: list[tuple[int, float]], expected: dict[int, float]) -> None:
    """The same passages in the same order with the same scores, within what fp16 can tell apart."""
    assert len(found) == pytest.approx(len(expected), abs=1)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    for (pid, score), (own_pid, own_score) in zip(found, expected.items(), strict=False):
        assert score == pytest.approx(own_score, abs=FP16)
        assert pid == own_pid or abs(expected.get(pid, score) - own_score) <= FP16


def test_every_part_of_every_passage_has_an_id_that_names_both() -> None:
    assert part_ids(7, 3).tolist() == [7 * 256, 7 * 256 + 1, 7 * 256 + 2]
    assert part_ids(2**40, 1).tolist() == [2**48]  # room for more passages than will ever be made
    assert set(part_ids(5, MAX_PARTS).tolist()) & set(part_ids(6, MAX_PARTS).tolist()) == set()


@pytest.mark.parametrize("n", [1, 10, 300, 10_000])
def test_an_exact_index_finds_what_numpy_finds(n: int) -> None:
    stored = Vectors(500, 64, seed=1, languages="en ko zh-Hant")
    built = build(stored, stored.sizes, 64)
    assert (built.kind, built.recall, built.index.ntotal) == ("exact-fp16", 1.0, len(stored))
    assert [partition.language for partition in built.partitions] == ["en", "ko", "zh-Hant"]
    view = VectorView(built, None, NO_IDS)
    for query in queries(20, 64, seed=2):
        assert_same(view.nearest(query, n), stored.nearest(query, n))


def test_base_delta_and_the_dead_mixed_find_what_numpy_finds() -> None:
    stored = Vectors(600, 48, seed=3, languages="en ko")
    base_rows = [row for row in stored if row[0] <= 400]
    delta_rows = [row for row in stored if row[0] > 400]
    # Dead are every third passage of the base, and those that would be found first.
    probes = queries(20, 48, seed=4)
    dead = {pid for pid, _, _ in base_rows if pid % 3 == 0}
    dead |= {pid for query in probes for pid in list(stored.nearest(query, 3)) if pid <= 400}
    base = build(base_rows, sizes_of(base_rows), 48)
    delta = build(delta_rows, sizes_of(delta_rows), 48)
    ids = np.sort(np.concatenate([part_ids(pid, len(matrix)) for pid, _, matrix in base_rows if pid in dead]))
    view = VectorView(base, delta, ids)
    for query in probes:
        for n in (1, 10, 100, 5_000):
            found = view.nearest(query, n)
            assert dead.isdisjoint(pid for pid, _ in found)
            assert_same(found, stored.nearest(query, n, without=dead))


def test_an_index_with_every_passage_dead_finds_nothing() -> None:
    stored = Vectors(20, 16, seed=5)
    built = build(stored, stored.sizes, 16)
    dead = np.sort(np.concatenate([part_ids(pid, len(matrix)) for pid, _, matrix in stored]))
    assert VectorView(built, None, dead).nearest(queries(1, 16, seed=6)[0], 10) == []
    assert VectorView(None, None, dead).nearest(queries(1, 16, seed=6)[0], 10) == []


@pytest.fixture(scope="module")
def large() -> tuple[Vectors, vec.Vectors]:
    """An index of the kind for many vectors, of as many as a test can wait for."""
    stored = Vectors(8_000, 64, seed=7)
    return stored, searched(build(stored, stored.sizes, 64, exact_max=5_000))


def fetched_at_10(view: VectorView, stored: Vectors, probes: np.ndarray) -> float:
    """Share of the passages of the true ten nearest vectors, by numpy, among what is fetched to be ranked anew."""
    owners, vectors = stored.matrix()
    shares = []
    for query in probes:
        true = {int(owners[i]) for i in np.argsort(-(vectors @ query))[:10]}
        shares.append(len(true & {pid for pid, _ in view.nearest(query, 10 + view.spare)}) / len(true))
    return float(np.mean(shares))


def near_stored(stored: Vectors, n: int, seed: int) -> np.ndarray:
    """Queries as far from stored vectors as a question is from its passage, other ones than it was tuned on."""
    generator = np.random.default_rng(seed)
    _, vectors = stored.matrix()
    probes = vectors[generator.integers(0, len(vectors), n)]
    probes = probes + 0.06 * generator.standard_normal(probes.shape).astype(np.float32)
    return probes / np.linalg.norm(probes, axis=1, keepdims=True)


def test_a_large_index_has_the_recall_that_it_claims(large: tuple[Vectors, vec.Vectors]) -> None:
    stored, built = large
    assert built.kind == "pq64x4"
    assert built.recall >= 0.99
    view = VectorView(built, None, NO_IDS)
    assert view.spare == SPARE
    # Standard error of a mean of 300 shares near 0.99 is under 0.003.
    assert fetched_at_10(view, stored, near_stored(stored, 300, seed=8)) >= built.recall - 0.015


def test_a_large_index_scores_about_as_numpy_does_and_leaves_out_the_dead(large: tuple[Vectors, vec.Vectors]) -> None:
    stored, built = large
    owners, vectors = stored.matrix()
    probes = queries(20, 64, seed=9)
    dead = {pid for query in probes for pid in list(stored.nearest(query, 5))}
    ids = np.sort(np.concatenate([part_ids(pid, len(matrix)) for pid, _, matrix in stored if pid in dead]))
    view = VectorView(built, None, ids)
    for query in probes:
        cosines = vectors @ query
        found = view.nearest(query, 20)
        assert found and dead.isdisjoint(pid for pid, _ in found)
        for pid, score in found:
            assert min(abs(cosines[owners == pid] - score)) <= CODES


@pytest.mark.parametrize("exact_max", [100_000, 700])
def test_one_language_is_searched_by_itself_and_only_what_is_allowed(exact_max: int) -> None:
    stored = Vectors(900, 32, seed=21, languages="en en en ko")  # some 1,700 vectors of en, 560 of ko
    built = searched(build(stored, stored.sizes, 32, exact_max=exact_max))
    assert built.approximate == (exact_max < 1_000)
    view = VectorView(built, None, NO_IDS)
    language = {pid: name for pid, name, _ in stored}
    korean = {pid for pid, name in language.items() if name == "ko"}
    some = {pid for pid in language if pid % 5 == 0}
    allowed = np.concatenate([part_ids(pid, len(matrix)) for pid, _, matrix in stored if pid in some])
    for query in queries(10, 32, seed=22):
        found = view.nearest(query, 50, languages={"ko"})
        assert found and {pid for pid, _ in found} <= korean
        both = view.nearest(query, 30, languages={"ko"}, allowed=allowed)
        assert both and {pid for pid, _ in both} <= korean & some
        among = view.nearest(query, 30, allowed=allowed)
        assert {pid for pid, _ in among} <= some
        if not built.approximate:
            assert_same(found, stored.nearest(query, 50, without=set(language) - korean))
            assert_same(both, stored.nearest(query, 30, without=set(language) - (korean & some)))
            assert_same(among, stored.nearest(query, 30, without=set(language) - some))
        assert view.nearest(query, 30, languages={"th"}) == []
        assert view.nearest(query, 30, allowed=NO_IDS) == []


def test_a_language_that_the_sample_lacks_is_found_all_the_same() -> None:
    stored = Vectors(900, 32, seed=23, languages="en en en ko")
    english = [row for row in stored if row[1] == "en"]
    built = build(stored, stored.sizes, 32, exact_max=10, sample=english)
    korean = {pid for pid, name, _ in stored if name == "ko"}
    found = VectorView(searched(built), None, NO_IDS).nearest(queries(1, 32, seed=24)[0], 10_000, languages={"ko"})
    assert {pid for pid, _ in found} == korean


@pytest.mark.parametrize("exact_max", [100_000, 300])
def test_an_index_that_grew_holds_what_one_made_anew_holds(exact_max: int) -> None:
    stored = Vectors(900, 32, seed=25, languages="en ko")
    old = [row for row in stored if row[0] <= 600]
    new = [row for row in stored if row[0] > 600]
    gone = {pid for pid, _, _ in old if pid % 7 == 0}
    ids = np.concatenate([part_ids(pid, len(matrix)) for pid, _, matrix in old if pid in gone])
    base = build(old, sizes_of(old), 32, exact_max=exact_max)
    before = VectorView(searched(base), None, NO_IDS).nearest(queries(1, 32, seed=26)[0], 5_000)
    grown = extended(base, new, sizes_of(new), ids, 32)
    assert grown is not None
    left = [row for row in stored if row[0] not in gone]
    assert {p.language: p.n_vectors for p in grown.partitions} == sizes_of(left)
    assert grown.index.ntotal == sum(sizes_of(left).values())
    for query in queries(10, 32, seed=27):
        found = VectorView(searched(grown), None, NO_IDS).nearest(query, 100)
        if exact_max > 1_000:
            assert_same(found, stored.nearest(query, 100, without=gone))
        assert gone.isdisjoint(pid for pid, _ in found)
        assert any(pid > 600 for pid, _ in found)
    # The one it grew from is as it was: a reader may be searching it.
    assert VectorView(searched(base), None, NO_IDS).nearest(queries(1, 32, seed=26)[0], 5_000) == before
    assert extended(base, new, {"th": 5}, ids, 32) is None


def test_an_index_from_which_a_language_has_gone_is_still_searched() -> None:
    stored = Vectors(100, 16, seed=28, languages="en ko")
    base = build_exact(stored, stored.sizes, 16)
    ids = np.concatenate([part_ids(pid, len(matrix)) for pid, name, matrix in stored if name == "ko"])
    left = extended(base, [], {}, ids, 16)
    found = VectorView(left, None, NO_IDS).nearest(queries(1, 16, seed=29)[0], 1_000)
    assert {pid for pid, _ in found} == {pid for pid, name, _ in stored if name == "en"}


@pytest.mark.parametrize("exact_max", [100_000, 300])
def test_a_mapped_index_is_never_changed(tmp_path: Path, exact_max: int) -> None:
    stored = Vectors(300, 16, seed=30)
    save(build(stored, stored.sizes, 16, exact_max=exact_max).index, tmp_path / "v.faiss")
    mapped = load(tmp_path / "v.faiss")
    more = queries(3, 16, seed=31)
    for change in (
        lambda: mapped.add(more),
        lambda: mapped.add_with_ids(more, np.arange(3)),
        lambda: mapped.remove_ids(np.arange(256, 300)),
        lambda: mapped.train(more),
        mapped.reset,
    ):
        with pytest.raises(TypeError, match="mapped"):
            change()
    assert mapped.ntotal == len(stored)
    changeable = load_to_change(tmp_path / "v.faiss")
    assert changeable.remove_ids(np.array([256])) == 1


def test_codes_are_a_share_of_the_vectors_and_are_scanned_to_the_scores_that_one_by_one_gives(tmp_path: Path) -> None:
    stored = Vectors(3_000, 64, seed=32, languages="en ko")
    built = build(stored, stored.sizes, 64, exact_max=300)
    save(built.index, tmp_path / "v.faiss")
    assert built.index.code_size == 64 // 2  # where fp16 takes 128 bytes
    plain, fast = load_to_change(tmp_path / "v.faiss"), load(tmp_path / "v.faiss")
    for own in built.partitions:
        for query in queries(10, 64, seed=33):
            expected = vec.search_partition(plain, query[None], 50, own, None)
            found = vec.search_partition(fast, query[None], 50, own, None)
            assert len(set(expected[1][0].tolist()) & set(found[1][0].tolist())) >= 45  # products in 8 bits
            assert np.abs(found[0][0] - expected[0][0]).max() < 0.02


def test_whoever_wants_all_of_a_language_in_codes_gets_all_whatever_is_asked() -> None:
    stored = Vectors(60, 16, seed=35, languages="en ko")
    built = searched(build(stored, stored.sizes, 16, exact_max=10))
    english = {pid for pid, name, _ in stored if name == "en"}
    dead = {pid for pid in english if pid % 4 == 0}
    ids = np.concatenate([part_ids(pid, len(matrix)) for pid, _, matrix in stored if pid in dead])
    for query in (np.zeros(16, np.float32), *queries(5, 16, seed=36)):
        found = VectorView(built, None, ids).nearest(query, 1_000, languages={"en"})
        assert {pid for pid, _ in found} == english - dead


@pytest.mark.parametrize("dim", [64, 7])
def test_codes_of_components_are_nearly_always_those_of_faiss_and_hardly_worse(dim: int) -> None:
    vectors = np.ascontiguousarray(queries(5_000, dim, seed=34).astype(np.float16), dtype=np.float32)
    quantizer = faiss.ProductQuantizer(dim, dim, 4)
    quantizer.train(vectors)
    codes, expected = ComponentCodes(quantizer)(vectors.astype(np.float16)), quantizer.compute_codes(vectors)
    assert codes.shape == expected.shape
    assert np.mean((codes & 15 == expected & 15) & (codes >> 4 == expected >> 4)) > 0.98
    errors = [np.square(quantizer.decode(own) - vectors).sum() for own in (codes, expected)]
    assert errors[0] < 1.005 * errors[1]
    far = np.full((3, dim), 60_000.0, np.float16)  # no unit vector, but nothing breaks
    assert ComponentCodes(quantizer)(far).shape == (3, expected.shape[1])
    assert ComponentCodes(quantizer)(np.full((3, dim), np.nan, np.float16)).shape == (3, expected.shape[1])


def test_a_file_with_clusters_of_an_older_version_is_told_of(tmp_path: Path) -> None:
    partition = {"language": "en", "first": 0, "n_lists": 1, "n_vectors": 5, "nprobe": 1, "recall": 1.0}
    vectors = {
        "file": "1.faiss", "sha256": "", "kind": "exact-fp16", "generation": 1, "max_pid": 5, "n_vectors": 5,
        "settings_key": "k", "recall": 1.0, "partitions": [partition], "n_trained": 0,
    }  # fmt: skip
    manifest = {
        "format_version": 3, "encoder": "e", "encoder_fingerprint": "f", "dim": 8, "settings": {}, "settings_key": "k",
        "vectors": vectors,
    }  # fmt: skip
    (tmp_path / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    assert read_manifest(tmp_path).vectors is not None
    partition |= {"n_lists": 7, "nprobe": 3}
    (tmp_path / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(ValueError, match="a vector file with clusters"):
        read_manifest(tmp_path)


def test_no_vectors_at_all_are_an_index_too(tmp_path: Path) -> None:
    built = build([], {}, 16)
    save(built.index, tmp_path / "v.faiss")
    loaded = vec.Vectors(load(tmp_path / "v.faiss"), built.partitions)
    assert VectorView(loaded, built, NO_IDS).nearest(queries(1, 16, seed=1)[0], 5) == []
    assert (built.kind, built.recall) == ("exact-fp16", 1.0)


def test_a_large_index_needs_rows_that_can_be_read_again() -> None:
    stored = Vectors(200, 16, seed=10)
    with pytest.raises(TypeError, match="iterable"):
        build(iter(stored), stored.sizes, 16, exact_max=10)


@pytest.mark.parametrize("exact_max", [100_000, 300])
def test_a_saved_index_is_loaded_as_it_was(tmp_path: Path, exact_max: int) -> None:
    stored = Vectors(400, 32, seed=11, languages="en ko")
    built = build(stored, stored.sizes, 32, exact_max=exact_max)
    save(built.index, tmp_path / "v.faiss")
    assert [path.name for path in tmp_path.iterdir()] == ["v.faiss"]  # nothing is left beside it
    loaded = vec.Vectors(load(tmp_path / "v.faiss"), built.partitions)
    before = VectorView(searched(built), None, NO_IDS)
    after = VectorView(loaded, None, NO_IDS)
    for query in queries(10, 32, seed=12):
        assert after.nearest(query, 25) == before.nearest(query, 25)


@pytest.mark.parametrize("exact_max", [100_000, 300])
def test_two_builds_of_the_same_vectors_are_the_same_file(tmp_path: Path, exact_max: int) -> None:
    stored = Vectors(2_000, 32, seed=13, languages="en ko th")
    for name in ("a", "b"):
        save(build(stored, stored.sizes, 32, exact_max=exact_max).index, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
