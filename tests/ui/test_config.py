"""Settings of a session: flags over environment over dragoman.toml over defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from index.settings import IndexSettings
from tests.ui.running import Ran
from ui.config import CONFIG_FILE, Config, explained_config, load_config
from ui.server.settings import ServerSettings, Site

pytestmark = pytest.mark.usefixtures("here")


def file(text: str) -> None:
    Path(CONFIG_FILE).write_text(text, "utf-8")


def test_without_anything_the_defaults_hold() -> None:
    config = load_config(index=None, k=None)  # a flag that is None was not given
    assert (config.index, config.encoder, config.k) == (Path(".dragoman"), None, 10)
    assert (config.host, config.port) == ("127.0.0.1", 7860)


GIVEN = {
    "index": "somewhere", "encoder": "one", "model": "ollama:llama", "fallback_model": "openai:gpt", "reranker": "x",
    "aliases": "names.toml", "k": 3, "host": "0.0.0.0", "port": 8001, "passage_tokens": 100, "max_file_mb": 5,
}  # fmt: skip


@pytest.mark.parametrize("source", ["file", "environment", "flags"])
def test_every_setting_may_stand_in_the_file_the_environment_and_a_flag(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "file":
        file("\n".join(f"{name} = {json.dumps(value)}" for name, value in GIVEN.items()))
    for name, value in GIVEN.items() if source == "environment" else ():
        monkeypatch.setenv(f"DRAGOMAN_{name.upper()}", f" {value} " if isinstance(value, int) else str(value))
    expected = {**GIVEN, "index": Path("somewhere"), "aliases": Path("names.toml")}
    assert load_config(**(GIVEN if source == "flags" else {})).model_dump(exclude={"server"}) == expected


def test_a_flag_goes_before_the_environment_that_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file("k = 3")
    monkeypatch.setenv("DRAGOMAN_K", "4")
    assert (load_config().k, load_config(k=5).k) == (4, 5)
    monkeypatch.setenv("DRAGOMAN_K", "")  # set to nothing is not set
    assert load_config().k == 3
    monkeypatch.setenv("DRAGOMAN_K", "ten")
    with pytest.raises(ValueError, match="DRAGOMAN_K: k: Input should be"):
        load_config()


def test_the_settings_of_an_index_are_those_named_and_the_defaults() -> None:
    assert load_config(passage_tokens=300).index_settings == IndexSettings(target_tokens=300, max_tokens=450)
    assert load_config().index_settings is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("k = ", "dragoman.toml is not valid TOML"),
        ("index = 'caf\udce9'", "is not valid TOML"),  # no UTF-8
        ("colour = 'red'", "dragoman.toml: colour: Extra inputs are not permitted"),
        ("k = 'many'", "dragoman.toml: k: Input should be a valid integer"),
        ("k = 1001", "k: Input should be less than or equal to 1000"),
        ("index = ''", "index: expected: a folder"),
        ("[server]\ncolour = 1", "server.colour: Extra inputs are not permitted"),
        ("[server]\nper_minute = 0", "server.per_minute: Input should be greater than 0"),
        ("[server]\nallowed_hosts = ['a*']", "server.allowed_hosts.0: String should match"),
        ("[server]\ntrusted_proxies = ['proxy']", "server.trusted_proxies.0: 'proxy' does not appear to be an IPv4"),
        ("[sites.x]\ntitle = 'a'", "sites.x.origins: Field required"),
        ("[sites.x]\norigins = []\nper_minute = 0", "sites.x.per_minute: Input should be greater than 0"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(text: str, complaint: str) -> None:
    Path(CONFIG_FILE).write_text(text, "utf-8", "surrogateescape")
    with pytest.raises(ValueError, match=re.escape(complaint)) as refused:
        load_config()
    assert CONFIG_FILE in str(refused.value)


# --- the server's tables ----------------------------------------------------------------------------------------

TABLES = """
port = 8001

[server]
per_minute = 10
allow_upload = true
allowed_hosts = ["answers.example.org", "localhost"]

[sites.pk_news]
origins = ["https://news.example.org"]
title = "Fragen?"
languages = ["de", "fr"]

[sites.pk_old]
origins = []
"""


def test_the_tables_of_the_server_and_its_sites_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    file(TABLES)
    found = load_config().server
    assert (found.per_minute, found.allow_upload, found.max_concurrent) == (10, True, ServerSettings().max_concurrent)
    assert found.allowed_hosts == ("answers.example.org", "localhost")
    news = Site(key="pk_news", origins=("https://news.example.org",), title="Fragen?", languages=("de", "fr"))
    assert found.sites == {"pk_news": news, "pk_old": Site(key="pk_old", origins=())}
    monkeypatch.setenv("DRAGOMAN_SERVER_PER_MINUTE", "99")
    monkeypatch.setenv("DRAGOMAN_SERVER_ALLOW_UPLOAD", "false")
    monkeypatch.setenv("DRAGOMAN_SERVER_ALLOWED_HOSTS", "a.example, b.example")
    found = load_config().server
    assert (found.per_minute, found.allow_upload, found.allowed_hosts) == (99, False, ("a.example", "b.example"))


def test_every_setting_is_shown_with_its_source(dragoman: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    file(TABLES)
    monkeypatch.setenv("DRAGOMAN_K", "7")
    shown = dragoman("config", "--index", "mine", "--json").json
    told = {name: (shown[name]["value"], shown[name]["source"]) for name in ("index", "k", "port", "encoder")}
    assert told == {
        "index": ("mine", "--index"),
        "k": (7, "DRAGOMAN_K"),
        "port": (8001, "dragoman.toml"),
        "encoder": (None, "default"),
    }
    assert shown["server.per_minute"] == {"value": 10, "source": "dragoman.toml"}
    assert shown["server.max_concurrent"]["source"] == "default"
    assert shown["sites.pk_news.languages"] == {"value": ["de", "fr"], "source": "dragoman.toml"}
    assert Config.model_fields.keys() - {"server"} <= explained_config().keys()
    lines = dragoman("config").out.splitlines()
    assert any(line.split() == ["port", "8001", "dragoman.toml"] for line in lines)


def test_what_belongs_to_an_index_in_a_database_lies_in_a_folder_of_its_own(
    dragoman: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    place = "postgresql://ada:secret@db.example/articles"
    added = dragoman("key", "add", "--name", "web", "--scope", "ask", "--index", place)
    assert added.code == 0
    assert "web" in dragoman("key", "list", "--index", place).out
    assert "there are no keys" in dragoman("key", "list", "--index", f"{place}?schema=other").out
    (folder, _) = (tmp_path / "state" / "dragoman").iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    shown = dragoman("config", "--index", place).out
    assert "postgresql://ada@db.example/articles" in shown
    assert "secret" not in shown
