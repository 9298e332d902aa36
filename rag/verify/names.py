"""Whether a text has a name in any script and form: by its letters, aliases, phonetic keys or the encoder."""

from __future__ import annotations

import math

from index.encoders.base import Encoder
from index.encoders.static import StaticEncoder
from index.names import NO_NAMES, KnownNames, bare_forms, common_names, glosses, likeness, name_forms, name_key
from index.text.language import dominant_script, same_language
from index.text.names import shown_names
from index.text.terms import terms

# Log-odds that a text has a name: per unit of the nearest word's similarity by the encoder, and of phonetic similarity
# above chance. Fitted on FLORES' sentences and their translations; docs/decisions/0012
_BY_ENCODER, _BY_SOUND, _BIAS = 15.4, 13.3, -4.7
_BY_CHANCE = 0.7  # phonetic similarity that words reach by chance
_LEAST, _LEAST_ACROSS = 0.35, 0.15  # below this probability the text lacks the name: in one language, across two
_CAPITAL_NOUNS = ("de",)  # every noun has a capital


def lacking_names(
    sentence: str, language: str, text: str, text_language: str, encoder: Encoder, user_names: KnownNames = NO_NAMES
) -> list[str]:
    """The names of `sentence` (where its script shows names) that `text` has in no form."""
    same, capital = same_language(language, text_language), language.split("-")[0] in _CAPITAL_NOUNS
    if capital and not same:
        return []
    least = _LEAST if same and not capital else _LEAST_ACROSS
    names = shown_names(sentence, language)
    return [name for name in names if probability_of_name(name, text, text_language, encoder, user_names) < least]


def probability_of_name(
    name: str, text: str, language: str, encoder: Encoder, user_names: KnownNames = NO_NAMES
) -> float:
    """The probability that `text` has `name`, in [0, 1]; 1 where it has the name itself or a known alias."""
    key, held = name_key(name), f" {' '.join(terms(text))} "
    if not key or f" {key} " in held:
        return 1.0
    known = [*user_names.aliases([key]), *common_names().aliases([key])]
    known += [alias for alias in glosses(text) if name_key(alias.name) == key]
    if any(f" {name_key(alias.other)} " in held for alias in known):
        return 1.0
    same_script = dominant_script(name) == dominant_script(text)
    nearest = 0.0
    if isinstance(encoder, StaticEncoder):
        nearest = float(encoder.max_sim(name, encoder.packed_words([[text]]))[0])
    forms = [bare for form in name_forms(text, language) for bare in bare_forms(form)] if not same_script else []
    alike = float(likeness([(name, form) for form in forms]).max()) if forms else 0.0
    total = _BY_ENCODER * nearest + _BY_SOUND * max(0.0, alike - _BY_CHANCE) + _BIAS
    return 1 / (1 + math.exp(-total))
