"""Settings of a session: flags over environment over dragoman.toml over defaults."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ui.config import CONFIG_FILE, Config, load_config

pytestmark = pytest.mark.usefixtures("here")


def file(text: str) -> None:
    Path(CONFIG_FILE).write_text(text, "utf-8")


def test_without_anything_the_defaults_hold() -> None:
    config = load_config()
    assert config == Config(
        index=Path(".dragoman"), encoder=None, model=None, k=10, host="127.0.0.1", port=7860, max_file_mb=64
    )
    assert config.new_encoder == "embedded"
    assert load_config(index=None, k=None) == config  # a flag that is None was not given


FILE = """
index = "from/file"
encoder = "file-encoder"
model = "file:model"
fallback_model = "file:other"
judge = "file:judge"
reranker = "file-reranker"
aliases = "file.toml"
k = 3
host = "0.0.0.0"
port = 8001
max_file_mb = 5
"""
FROM_FILE = {
    "index": Path("from/file"),
    "encoder": "file-encoder",
    "model": "file:model",
    "fallback_model": "file:other",
    "judge": "file:judge",
    "reranker": "file-reranker",
    "aliases": Path("file.toml"),
    "k": 3,
    "host": "0.0.0.0",
    "port": 8001,
    "max_file_mb": 5,
}
FROM_ENVIRONMENT = {
    "index": Path("from/environment"),
    "encoder": "environment-encoder",
    "model": "environment:model",
    "fallback_model": "environment:other",
    "judge": "environment:judge",
    "reranker": "environment-reranker",
    "aliases": Path("environment.toml"),
    "k": 4,
    "host": "::1",
    "port": 8002,
    "max_file_mb": 6,
}
FROM_FLAGS = {
    "index": Path("from/flag"),
    "encoder": "flag-encoder",
    "model": "flag:model",
    "fallback_model": "flag:other",
    "judge": "flag:judge",
    "reranker": "flag-reranker",
    "aliases": Path("flag.toml"),
    "k": 5,
    "host": "localhost",
    "port": 8003,
    "max_file_mb": 7,
}


@pytest.mark.parametrize("name", FROM_FILE)
def test_a_flag_goes_before_the_environment_that_before_the_file_that_before_the_default(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = getattr(Config(), name)
    assert getattr(load_config(), name) == default
    file(FILE)
    assert getattr(load_config(), name) == FROM_FILE[name]
    monkeypatch.setenv(f"DRAGOMAN_{name.upper()}", str(FROM_ENVIRONMENT[name]))
    assert getattr(load_config(), name) == FROM_ENVIRONMENT[name]
    assert getattr(load_config(**{name: FROM_FLAGS[name]}), name) == FROM_FLAGS[name]
    monkeypatch.setenv(f"DRAGOMAN_{name.upper()}", "")  # set to nothing is not set
    assert getattr(load_config(), name) == FROM_FILE[name]
    # The other settings are not touched by any of this.
    assert dataclasses.asdict(load_config()) == FROM_FILE


def test_the_encoder_of_a_new_index_is_the_one_named() -> None:
    assert load_config(encoder="mine").new_encoder == "mine"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("k = ", "dragoman.toml is not valid TOML"),
        ("index = 'a\n", "dragoman.toml is not valid TOML"),
        ("k = 1\nk = 2", "dragoman.toml is not valid TOML"),
        (
            "colour = 'red'\nindx = 'x'",
            "unknown keys colour, indx; expected: aliases, encoder, fallback_model, host",
        ),
        ("[tool]\nk = 1", "unknown keys tool"),
        ("k = 'many'", "dragoman.toml: k is 'many'; expected: a whole number from 1 to 1000"),
        ("k = 0", "k is 0"),
        ("k = -3", "k is -3"),
        ("k = 3.7", "k is 3.7"),
        ("k = true", "k is True"),
        ("k = [1]", r"k is \[1\]"),
        ("k = 1001", "k is 1001"),
        ("port = 70000", "port is 70000; expected: a whole number from 1 to 65535"),
        ("max_file_mb = 0", "max_file_mb is 0"),
        ("index = 5", "index is 5; expected: a text"),
        ("index = ''", "index is ''; expected: a text that is not empty"),
        ("encoder = ['a', 'b']", "encoder is "),
        ("model = {name = 'x'}", "model is "),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(text: str, complaint: str) -> None:
    file(text)
    with pytest.raises(ValueError, match=complaint) as refused:
        load_config()
    assert CONFIG_FILE in str(refused.value)


def test_a_file_that_is_not_utf8_is_named() -> None:
    Path(CONFIG_FILE).write_bytes(b"index = 'caf\xe9'")
    with pytest.raises(ValueError, match="is not valid TOML"):
        load_config()


@pytest.mark.parametrize(
    ("name", "value"), [("K", "ten"), ("K", "0"), ("K", "2.5"), ("PORT", "99999"), ("MAX_FILE_MB", "-1"), ("K", "1_0")]
)
def test_a_variable_that_cannot_be_used_is_named_with_what_is_wrong(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"DRAGOMAN_{name}", value)
    with pytest.raises(ValueError, match=rf"DRAGOMAN_{name}: {name.lower()} is '{value}'; expected: a whole number"):
        load_config()


def test_numbers_in_the_environment_may_have_space_around_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAGOMAN_K", " 7 ")
    assert load_config().k == 7


def test_the_file_may_say_anything_in_any_language() -> None:
    file('index = "索引/색인"\nmodel = "ollama:llama3.2"')
    assert load_config().index == Path("索引/색인")
    assert load_config().model == "ollama:llama3.2"


def test_a_folder_called_like_the_file_is_passed_over() -> None:
    Path(CONFIG_FILE).mkdir()
    assert load_config() == Config()
