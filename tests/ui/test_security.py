from __future__ import annotations

import base64
import json
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from rag.testing import HashEncoder
from tests.ui.running import Ran, indexed, with_key
from ui.commands import keys as commands
from ui.config import Config
from ui.server.errors import UNKNOWN
from ui.server.gate import rule_for
from ui.server.keys import KeyFile, Scope
from ui.server.run import run
from ui.server.settings import ServerSettings, Site

QUESTION = "How many cranes has the harbour?"
ASK = {"question": QUESTION}
EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = {"harbour.txt": "The harbour has seven cranes. They are painted red."}
    return indexed(tmp_path_factory.mktemp("security"), texts)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A small index that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "index"))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# --- keys ------------------------------------------------------------------------------------------------------


def test_a_key_is_random_and_only_its_digest_is_kept(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    one, two = keys.add("one", [Scope.ASK]), keys.add("two", [Scope.ASK, Scope.ADMIN])
    assert one != two
    assert one.startswith("dk_")
    assert len(base64.urlsafe_b64decode(one.removeprefix("dk_") + "=")) == 32
    stored = (tmp_path / "keys.json").read_text()
    assert one.removeprefix("dk_") not in stored
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    found = keys.find(two)
    assert found is not None
    assert (found.name, found.scopes) == ("two", (Scope.ADMIN, Scope.ASK))
    for wrong in ("", "dk_", one[:-1], one + "x", one.upper(), "é\ud83d", "x" * 10_000):
        assert keys.find(wrong) is None


def test_a_key_that_another_process_makes_or_takes_is_seen_at_once(tmp_path: Path) -> None:
    serving, command = KeyFile(tmp_path), KeyFile(tmp_path)
    assert not serving.any_may(Scope.ASK)
    token = command.add("web", [Scope.ASK])
    assert serving.find(token) is not None
    text = (tmp_path / "keys.json").read_text()
    (tmp_path / "keys.json").write_text(text.replace('"disabled": false', '"disabled": true'))
    disabled = serving.find(token)
    assert disabled is not None
    assert not disabled.may(Scope.ASK)
    assert not serving.any_may(Scope.ASK)
    command.remove("web")
    assert serving.find(token) is None


def test_what_cannot_be_done_with_keys_is_reported(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    keys.add("web", [Scope.ASK])
    with pytest.raises(ValueError, match="there is a key web already"):
        keys.add("web", [Scope.ASK])
    for name in ("", "a b", "x" * 65, "a\n", "../x"):
        with pytest.raises(ValueError, match="is no name of a key"):
            keys.add(name, [Scope.ASK])
    with pytest.raises(ValueError, match="without a scope"):
        keys.add("other", [])
    with pytest.raises(ValueError, match="there is no key other; fix: dragoman key list"):
        keys.remove("other")
    with pytest.raises(ValueError, match="there is no index in"):
        KeyFile(tmp_path / "nowhere").add("web", [Scope.ASK])


@pytest.mark.parametrize("content", ["", "[]", '{"keys": [{"sha256": "x"}]}'])
def test_a_broken_file_of_keys_lets_nobody_in(
    make_client: Callable[..., TestClient], folder: Path, content: str
) -> None:
    client = make_client("0.0.0.0")
    (folder / "keys.json").write_text(content)
    got = client.post("/api/v1/ask", json=ASK, headers=bearer("dk_x"))
    assert got.status_code == 500
    assert "keys.json" not in got.text


def test_the_commands_make_show_and_remove_keys(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.add("web", [Scope.ASK, Scope.INGEST], folder)
    made = capsys.readouterr()
    token = made.out.strip()
    assert token.startswith("dk_")
    assert token not in made.err
    commands.list_keys(folder, as_json=True)
    (shown,) = Ran(0, capsys.readouterr().out, "").json["keys"]
    assert (shown["name"], shown["scopes"], shown["disabled"]) == ("web", ["ask", "ingest"], False)
    assert "sha256" not in shown
    commands.list_keys(folder)
    assert "ask,ingest" in capsys.readouterr().out
    commands.remove("web", folder)
    assert KeyFile(folder).all() == []


# --- who may what ----------------------------------------------------------------------------------------------


def test_without_keys_this_machine_may_ask_and_nothing_else(make_client: Callable[..., TestClient]) -> None:
    client = make_client("127.0.0.1", allow_upload=True)
    for headers in ({}, bearer("sk-any")):
        assert client.post("/api/v1/ask", json=ASK, headers=headers).status_code == 200
    for method, path, scope in SCOPED:
        if scope is not Scope.ASK:
            got = client.request(method, path)
            assert (got.status_code, got.headers["www-authenticate"]) == (401, "Bearer"), path


def test_a_key_for_asking_closes_asking_to_all_others(make_client: Callable[..., TestClient], folder: Path) -> None:
    client = make_client("127.0.0.1")
    KeyFile(folder).add("loader", [Scope.INGEST])
    assert client.post("/api/v1/ask", json=ASK).status_code == 200
    token = KeyFile(folder).add("web", [Scope.ASK])
    assert client.post("/api/v1/ask", json=ASK).status_code == 401
    assert client.post("/api/v1/ask", json=ASK, headers=bearer(token)).status_code == 200
    assert client.get("/healthz").status_code == 200


SCOPED = [
    ("POST", "/api/v1/ask", Scope.ASK),
    ("POST", "/api/v1/search", Scope.ASK),
    ("GET", "/api/v1/documents", Scope.ASK),
    ("GET", "/api/v1/documents/0123456789abcdef", Scope.ASK),
    ("POST", "/api/v1/documents", Scope.INGEST),
    ("DELETE", "/api/v1/documents/0123456789abcdef", Scope.INGEST),
    ("POST", "/api/v1/feedback", Scope.ASK),
    ("GET", "/metrics", Scope.ADMIN),
]


def test_each_route_takes_its_scope_and_no_other_and_none_is_without_a_rule(
    make_client: Callable[..., TestClient], folder: Path
) -> None:
    client = make_client("0.0.0.0", allow_upload=True)
    tokens = {one: KeyFile(folder).add(one, [one]) for one in Scope}
    for method, path, scope in SCOPED:
        assert client.request(method, path).status_code == 401
        for one, token in tokens.items():
            status = client.request(method, path, headers=bearer(token)).status_code
            assert (status not in (401, 403)) == (one is scope), (path, one, status)
    named = {(method, path.replace("0123456789abcdef", "{doc_id}")) for method, path, _ in SCOPED}
    paths = make_client().get("/openapi.json").json()["paths"]
    all_routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    free = {one for one in all_routes if not one[1].startswith("/v1/")} - named
    assert free == {("GET", "/healthz"), ("GET", "/readyz")}


def test_an_interface_and_a_path_that_nobody_thought_of_are_closed_too(make_client: Callable[..., TestClient]) -> None:
    client = make_client("0.0.0.0")
    closed = ("/mcp", "/v1/x", "/", "/article/0123456789abcdef", "/gradio_api/queue/join", "/healthz2", "/widgets")
    for path in closed:
        assert client.post(path).status_code == client.get(path).status_code == 401, path
    for path in ("/api/v1/ask", "/api/v1/search", "/v1/chat/completions", "/mcp", "/widget/ask"):
        assert rule_for("POST", path).takes_place, path


def test_a_browser_may_send_the_key_as_a_password_to_the_page_alone(
    make_client: Callable[..., TestClient], folder: Path
) -> None:
    client = make_client("0.0.0.0", allow_upload=True)
    token = KeyFile(folder).add("web", list(Scope))
    password = {"Authorization": "Basic " + base64.b64encode(f"me:{token}".encode()).decode()}
    closed = client.get("/")
    assert (closed.status_code, closed.headers["www-authenticate"][:5]) == (401, "Basic")
    assert client.get("/", headers=password).status_code == 404  # there is no page here, but it was let through
    # Else any web page could have a visitor's browser do these.
    for method, path, _ in SCOPED:
        assert client.request(method, path, headers=password).status_code == 401, path
    crossing = password | {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/gradio_api/queue/join", headers=crossing).status_code == 403
    for broken in ("Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Digest x", "Bearer"):
        assert client.get("/", headers={"Authorization": broken}).status_code == 401


@pytest.mark.parametrize(
    ("host", "settings"), [("0.0.0.0", {}), ("192.0.2.1", {}), ("127.0.0.1", {"trusted_proxies": ("127.0.0.1",)})]
)
def test_a_public_bind_without_a_key_refuses_to_start_and_says_how(
    folder: Path, host: str, settings: dict[str, Any]
) -> None:
    config = Config(index=folder, host=host, port=1, server=ServerSettings(**settings))
    KeyFile(folder).add("loader", [Scope.INGEST])
    with pytest.raises(ValueError, match=r"no key with the scope ask; fix: dragoman key add --name web --scope ask"):
        run(config, with_page=False)
    open_to_all = config.model_copy(
        update={"host": "192.0.2.1", "server": ServerSettings(public_anonymous=True, **settings)}
    )
    # Past that, the next thing to fail is the address, which is no machine's.
    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        run(open_to_all, with_page=False)
    KeyFile(folder).add("web", [Scope.ASK])
    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        run(config.model_copy(update={"host": "192.0.2.1"}), with_page=False)


def test_everybody_may_ask_where_that_was_wished_for(make_client: Callable[..., TestClient], folder: Path) -> None:
    client = make_client("0.0.0.0", public_anonymous=True)
    KeyFile(folder).add("web", [Scope.ASK])
    assert client.post("/api/v1/ask", json=ASK).status_code == 200
    assert client.get("/metrics").status_code == 401


# --- headers, hosts, bodies ------------------------------------------------------------------------------------

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@pytest.mark.parametrize(
    ("status", "method", "path", "options"),
    [
        (200, "GET", "/healthz", {}),
        (200, "POST", "/api/v1/ask", {"json": ASK, "headers": {"Origin": EVIL}}),
        (400, "GET", "/healthz", {"headers": {"Host": "evil.example"}}),
        (400, "OPTIONS", "/api/v1/ask", {"headers": {"Origin": EVIL, "Access-Control-Request-Method": "POST"}}),
        (401, "POST", "/api/v1/documents", {}),
        (403, "POST", "/widget/ask", {"json": ASK | {"site": "none"}}),
        (404, "GET", "/api/v1/nothing", {}),
        (405, "GET", "/api/v1/ask", {}),
        (405, "GET", "/mcp", {}),
        (413, "POST", "/api/v1/ask", {"content": "x" * 2**21}),
        (422, "POST", "/api/v1/ask", {"json": {}}),
        (422, "POST", "/api/v1/ask", {"content": json.dumps(ASK), "headers": {"Content-Type": "text/plain"}}),
    ],
)
def test_every_response_has_the_headers_once_and_every_error_one_shape(
    make_client: Callable[..., TestClient], status: int, method: str, path: str, options: dict[str, Any]
) -> None:
    got = make_client("127.0.0.1").request(method, path, **options)
    assert got.status_code == status
    for name, value in HEADERS.items():
        assert got.headers.get_list(name) == [value]
    (policy,) = got.headers.get_list("content-security-policy")
    if path.startswith(("/api", "/healthz")):
        assert policy == "default-src 'none'; frame-ancestors 'none'"
    assert "http" not in policy
    assert not {"access-control-allow-origin", "access-control-allow-credentials"} & set(got.headers)
    assert ("allow" in got.headers) == (status == 405)
    if status >= 400:
        error = got.json()
        assert list(error) == ["detail", "code", "param"]
        assert isinstance(error["detail"], str)
        assert error["code"]


def test_a_failure_that_nobody_foresaw_has_the_headers_and_says_nothing(
    make_client: Callable[..., TestClient], caplog: pytest.LogCaptureFixture
) -> None:
    encoder = HashEncoder()

    def encode(texts: Any) -> Any:
        raise RuntimeError(f"cannot encode {texts}")

    encoder.encode_queries = encode  # type: ignore[method-assign]
    client = make_client("127.0.0.1", encoder=encoder)
    got = client.post("/api/v1/search", json=ASK)
    assert (got.status_code, got.json()) == (500, {"detail": UNKNOWN, "code": "internal", "param": None})
    assert "cranes" not in got.text + caplog.text
    assert "RuntimeError at" in caplog.text
    assert "test_security.py" in caplog.text
    for name, value in HEADERS.items():
        assert got.headers.get_list(name) == [value]


NAMED = ("answers.example", "*.inner.example")


@pytest.mark.parametrize(
    ("host", "named", "sent", "status"),
    [
        ("127.0.0.1", (), "127.0.0.1:7860", 200),
        ("127.0.0.1", (), "LOCALHOST", 200),
        ("127.0.0.1", (), "127.0.0.1.evil.example", 400),
        ("127.0.0.1", (), "", 400),
        ("0.0.0.0", (), "anything.example", 200),
        ("127.0.0.1", NAMED, "answers.example", 200),
        ("127.0.0.1", NAMED, "a.inner.example:443", 200),
        ("127.0.0.1", NAMED, "xinner.example", 400),
        ("127.0.0.1", NAMED, "127.0.0.1", 400),
    ],
)
def test_a_server_answers_to_its_own_or_the_configured_names_alone(
    make_client: Callable[..., TestClient], host: str, named: tuple[str, ...], sent: str, status: int
) -> None:
    client = make_client(host, allowed_hosts=named)
    assert client.get("/healthz", headers={"Host": sent}).status_code == status


def test_pages_of_named_origins_alone_may_call(make_client: Callable[..., TestClient]) -> None:
    client = make_client("127.0.0.1", cors_origins=("https://ours.example", "HTTPS://Bücher.Example:443/"))
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    allowed = client.options("/api/v1/ask", headers={"Origin": "https://ours.example", **asking})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://ours.example")
    assert "access-control-allow-credentials" not in allowed.headers
    assert client.options("/api/v1/ask", headers={"Origin": EVIL, **asking}).status_code == 400
    origin = "https://xn--bcher-kva.example"  # as browsers send it
    assert client.get("/healthz", headers={"Origin": origin}).headers["access-control-allow-origin"] == origin
    refused = client.get("/metrics", headers={"Origin": "https://ours.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://ours.example")


_JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"question": "x", "k": NaN}',
        b'{"question": "x", "k": ' + b"9" * 5_000 + b"}",
        b'{"question": ' * 50_000,
        b'{"question": "\xff\xfe"}',
        b'{"question": "x", "filter": {"swordfish swordfish": 1}}',
        b'{"question": "x", "filter": {"since": "swordfish swordfish"}}',
        b'{"question": "x", "history": [{"question": "x", "swordfish swordfish": 2}]}',
        b'{"question": "tea \\ud83d time"}',
        b'{"question": "' + b"swordfish " * 1_000 + b'"}',
        b'{"question": {"deep": "swordfish"}}',
        b'"swordfish"',
    ],
)
def test_a_hostile_body_is_refused_shortly_and_not_sent_back(
    make_client: Callable[..., TestClient], body: bytes
) -> None:
    client = make_client("127.0.0.1")
    for path in ("/api/v1/ask", "/api/v1/search", "/api/v1/feedback"):
        got = client.post(path, content=body, headers=_JSON)
        assert "swordfish" not in got.text
        assert got.status_code in (400, 422)
        assert list(got.json()) == ["detail", "code", "param"]
        assert len(got.content) < 1_000


@pytest.mark.parametrize(
    "doc_id",
    ["../keys.json", "%2e%2e%2f%2e%2e%2fkeys.json", "x" * 5_000, "%00", "0123456789abcdef%0a", "*", "' OR 1=1 --"],
)
def test_an_id_of_a_document_is_never_a_path(make_client: Callable[..., TestClient], folder: Path, doc_id: str) -> None:
    client = make_client("127.0.0.1", allow_upload=True)
    key = with_key(folder, Scope.INGEST)
    before = sorted(folder.iterdir())
    assert client.delete(f"/api/v1/documents/{doc_id}", headers=key).status_code in (404, 405, 422)
    assert sorted(folder.iterdir()) == before
    assert client.get("/api/v1/documents").json()["total"] == 1


def test_no_interface_speaks_websocket(make_client: Callable[..., TestClient]) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), make_client("127.0.0.1").websocket_connect("/api/v1/ask"):
        pass


def test_no_question_is_in_the_log(make_client: Callable[..., TestClient], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    client = make_client("127.0.0.1")
    client.post("/api/v1/ask", json=ASK)
    client.post("/api/v1/ask", json=ASK | {"stream": True})
    client.post("/api/v1/search", json=ASK)
    client.post("/api/v1/ask", json=ASK | {"k": "x", "filter": {"since": "cranes"}})
    assert "cranes" not in caplog.text


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ["www.example.org", "https://a.example/x", "*", "null", "ftp://a.example", "https://me@a.example", "https://a b",
     "https://a.example; script-src *"],
)  # fmt: skip
def test_an_origin_that_cannot_be_read_is_refused(written: str) -> None:
    expected = re.escape(f"{written!r} is no origin; expected: scheme and host, without a path")
    with pytest.raises(ValueError, match=expected):
        ServerSettings(cors_origins=("https://fine.example", written))
    with pytest.raises(ValueError, match=expected):
        Site(key="news", origins=(written,))


def test_pages_of_a_pattern_may_frame_and_none_may_call() -> None:
    pattern = ("https://*.a.example", "https://a.example:*")
    assert Site(key="k", origins=pattern).origins == pattern
    with pytest.raises(ValueError, match=r"expected: an origin without \*"):
        ServerSettings(cors_origins=pattern)


# --- what the schema says, and what comes ----------------------------------------------------------------------


CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]


def test_the_api_keeps_to_its_own_schema(make_client: Callable[..., TestClient], folder: Path) -> None:
    client = make_client("127.0.0.1", allow_upload=True, per_minute=10**6)
    token = KeyFile(folder).add("all", list(Scope))
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app, headers={"Host": "127.0.0.1"})
    seen: set[str] = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        wrong = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
        cases = st.one_of(operation.as_strategy(), wrong)
        phases, unchecked = [Phase.explicit, Phase.generate], list(HealthCheck)

        @settings(max_examples=15, deadline=None, derandomize=True, database=None, phases=phases,
                  suppress_health_check=unchecked)  # fmt: skip
        @given(case=cases)
        def check(case: schemathesis.Case) -> None:
            response = case.call(headers={"Host": "127.0.0.1", **bearer(token)})
            assert response.status_code < 500, (case.as_curl_command(), response.text)
            case.validate_response(response, checks=CHECKS)

        check()
        seen.add(operation.label)
    assert len(seen) >= 10
