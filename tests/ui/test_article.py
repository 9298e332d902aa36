"""A whole document over HTTP: as JSON, and as a page with the cited spans marked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.ui.hostile import HOSTILE, Tags
from tests.ui.running import indexed
from ui.server.settings import Site

ARABIC = "عبر الجسر ألف شخص 𝒜 اليوم.\n\nقال العمدة إن الجسر آمن."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    about = 'title: "The <b>bridge"\nlang: ar\ndate: 2024-05-18\nurl: https://news.example/a?b=1\ntags: [city]'
    texts = {"bridge.md": f"---\n{about}\n---\n\n{ARABIC}\n", "hostile.txt": "Cranes. " + "\n".join(HOSTILE)}
    return indexed(tmp_path_factory.mktemp("articles"), texts)


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    city, news = Site(key="city", origins=(), tags=("city",)), Site(key="news", origins=(), languages=("en",))
    return make_client(sites={"city": city, "news": news})


def ids(client: TestClient) -> list[str]:
    return [one["doc_id"] for one in client.get("/api/v1/documents").json()["documents"]]


def test_the_text_of_a_document_resolves_a_citation(client: TestClient) -> None:
    got = client.get(f"/api/v1/documents/{ids(client)[0]}").json()
    cited = client.post("/api/v1/search", json={"question": "الجسر"}).json()["results"][0]
    assert got["text"][cited["start"] : cited["end"]] == cited["text"]
    assert got["n_chars"] == len(got["text"])
    assert {name: got[name] for name in ("source", "title", "language", "date", "url", "tags")} == {
        "source": "bridge.md",
        "title": "The <b>bridge",
        "language": "ar",
        "date": "2024-05-18",
        "url": "https://news.example/a?b=1",
        "tags": ["city"],
    }
    assert client.get("/api/v1/documents/0123456789abcdef").status_code == 404


def test_a_document_can_be_read_with_its_cited_spans_marked(client: TestClient) -> None:
    doc_id = ids(client)[0]
    text = client.get(f"/api/v1/documents/{doc_id}").json()["text"]
    start = text.index("𝒜")
    cite = f"{start}-{start + 7},0-3,5-4,7-99999,x"
    got = client.get(f"/article/{doc_id}", params={"cite": cite})
    assert got.status_code == 200
    page = Tags(got.text)
    assert ("html", {"lang": "ar", "dir": "rtl"}) in page.tags
    assert [marked["id"] for tag, marked in page.tags if tag == "mark"] == ["0-3", f"{start}-{start + 7}"]
    assert f">{text[start : start + 7]}</mark>" in got.text
    links = [link["href"] for tag, link in page.tags if tag == "a"]
    assert links == ["https://news.example/a?b=1", f"#{start}-{start + 7}", "#0-3"]
    assert text in page.text
    assert "script-src" not in got.headers["content-security-policy"]
    assert client.get("/article/../widget/static/article.css").status_code == 200
    assert client.get("/article/0123456789abcdef").status_code == 404


def test_a_hostile_article_is_text(client: TestClient) -> None:
    page = Tags(client.get(f"/article/{ids(client)[1]}").text)
    ours = "declaration html head meta title link body main h1 p bdi nav article strong"
    assert {tag for tag, _ in page.tags} <= set(ours.split())
    assert "<script>alert(1)</script>" in page.text


@pytest.mark.parametrize(
    ("site", "number", "status"), [("city", 0, 200), ("city", 1, 404), ("news", 0, 404), ("x", 0, 403)]
)
def test_visitors_of_a_site_read_its_documents_alone(client: TestClient, site: str, number: int, status: int) -> None:
    assert client.get(f"/widget/article/{ids(client)[number]}", params={"site": site}).status_code == status
