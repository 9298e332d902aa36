"""Aliases across scripts: phonetic keys, glosses found in texts, tables of names."""

from index.names.glosses import Alias, glosses
from index.names.phonetic import bare_forms, likeness, name_forms, phonetic_key, phonetic_terms
from index.names.tables import (
    NO_NAMES,
    KnownNames,
    Origin,
    OtherForm,
    common_names,
    name_key,
    other_forms,
    read_aliases,
)

__all__ = [
    "NO_NAMES", "Alias", "KnownNames", "Origin", "OtherForm", "bare_forms", "common_names", "glosses", "likeness",
    "name_forms", "name_key", "other_forms", "phonetic_key", "phonetic_terms", "read_aliases",
]  # fmt: skip
