"""The tables that every store has, and the format of an index."""

from __future__ import annotations

from index.errors import FormatTooNew, FormatTooOld, IndexMissing

FORMAT_VERSION = 8  # of both stores

# In braces stand the store's own words for a type, for the key of a passage, and for an index of long texts.
TABLES = """
CREATE TABLE meta (key {text} PRIMARY KEY, value {text} NOT NULL);
CREATE TABLE files (
    location {text} NOT NULL, source {text} NOT NULL, digest {text} NOT NULL, settings_key {text} NOT NULL,
    status {text} NOT NULL, reason {text} NOT NULL
);
CREATE INDEX files_location ON files {hash} (location);
CREATE TABLE documents (
    doc {number} PRIMARY KEY, doc_id {text} NOT NULL, location {text} NOT NULL, file {text} NOT NULL,
    source {text} NOT NULL, sha256 {text} NOT NULL, checksum {number} NOT NULL,  -- CRC-32 of the passages
    settings_key {text} NOT NULL, title {text} NOT NULL, url {text} NOT NULL, author {text} NOT NULL,
    date {text} NOT NULL, language {text} NOT NULL, tags {text} NOT NULL, headings {text} NOT NULL,
    n_chars integer NOT NULL, n_passages integer NOT NULL, text {text} NOT NULL
);
CREATE INDEX documents_doc_id ON documents (doc_id);
CREATE INDEX documents_location ON documents {hash} (location);
CREATE INDEX documents_file ON documents {hash} (file);
CREATE INDEX documents_settings ON documents (settings_key);
CREATE TABLE tags (doc {number} NOT NULL, folded {text} NOT NULL);  -- as compared
CREATE INDEX tags_doc ON tags (doc);
CREATE INDEX tags_folded ON tags (folded, doc);
-- A pid is never used twice: an index of vectors that knows a pid cannot mean another passage by it.
CREATE TABLE passages (
    {passage}, ordinal integer NOT NULL, start integer NOT NULL, "end" integer NOT NULL, language {text} NOT NULL,
    section {text} NOT NULL,
    sentences {blob} NOT NULL,  -- int32 pairs, offsets from the passage's start
    words {blob} NOT NULL  -- as the encoder packs them
);
CREATE INDEX passages_doc ON passages (doc);
CREATE INDEX passages_language ON passages (language);
-- Those of current documents only.
CREATE TABLE vectors ({passage}, language {text} NOT NULL, embedding {vector} NOT NULL);
CREATE INDEX vectors_doc ON vectors (doc);
-- Vectors by the contextual encoder, which are made after all else.
CREATE TABLE context ({passage}, embedding {blob} NOT NULL);
CREATE INDEX context_doc ON context (doc);
CREATE TABLE aliases (
    doc {number} NOT NULL, key {text} NOT NULL, name {text} NOT NULL, other {text} NOT NULL, confidence {real} NOT NULL
);
CREATE INDEX aliases_doc ON aliases (doc);
CREATE INDEX aliases_key ON aliases (key);
"""


def missing(place: str) -> IndexMissing:
    """The error where there is no index at `place`."""
    return IndexMissing(f"there is no index in {place}", "one", f"dragoman index PATH... --index '{place}' makes one")


def check_format(place: str, version: int, elsewhere: str) -> None:
    """Refuse an index of another format; `elsewhere` is a place for a new one.

    Raises:
        IndexMissing: There are no tables.
        FormatTooNew, FormatTooOld: A newer or an older version of this program made it.
    """
    if version == 0:
        raise missing(place)
    found = f"{place} has index format {version}"
    if version > FORMAT_VERSION:
        raise FormatTooNew(found, f"at most {FORMAT_VERSION}", "install a newer version of dragoman")
    if version < FORMAT_VERSION:
        remedy = f"index the sources into a new place: dragoman index --index '{elsewhere}' PATH..."
        raise FormatTooOld(f"{found}, of an older version of this program", f"format {FORMAT_VERSION}", remedy)
