"""Whether a text has a name, in whatever script and form: by its letters, by aliases, by sound, by the encoder."""

from __future__ import annotations

import math

from index.encoders.base import Encoder, LateInteraction
from index.names.forms import bare_forms, name_forms
from index.names.known import NO_NAMES, KnownNames, common_names, name_key
from index.names.mined import mined_aliases
from index.names.question import shown_names
from index.names.sounds import likeness
from index.text.language import dominant_script, same_language
from index.text.terms import terms

# Log-odds that a text has a name, of how near its nearest word is by the encoder, and of how far beyond chance
# one of its words sounds like it. Fitted on FLORES' sentences and their translations; docs/decisions/0012
_BY_ENCODER, _BY_SOUND, _BIAS = 15.4, 13.3, -4.7
_BY_CHANCE = 0.7  # likeness that words reach by chance
_LEAST, _LEAST_ACROSS = 0.35, 0.15  # probability below which the text lacks the name, in one language and across two
_NOUNS_ALIKE = ("de",)  # every noun has a capital


def lacking_names(
    sentence: str, language: str, text: str, text_language: str, encoder: Encoder, yours: KnownNames = NO_NAMES
) -> list[str]:
    """The names of `sentence`, of those that its script shows, that `text` has in no form."""
    same, alike = same_language(language, text_language), language.split("-")[0] in _NOUNS_ALIKE
    if alike and not same:
        return []
    least = _LEAST if same and not alike else _LEAST_ACROSS
    names = shown_names(sentence, language)
    return [name for name in names if probability_of_name(name, text, text_language, encoder, yours) < least]


def probability_of_name(name: str, text: str, language: str, encoder: Encoder, yours: KnownNames = NO_NAMES) -> float:
    """How probable it is that `text` has `name`, in [0, 1]; 1 where it is written there or known to be."""
    key, held = name_key(name), f" {' '.join(terms(text))} "
    if not key or f" {key} " in held:
        return 1.0
    told = [*yours.aliases([key]), *common_names().aliases([key])]
    told += [alias for alias in mined_aliases(text) if name_key(alias.name) == key]
    if any(f" {name_key(alias.other)} " in held for alias in told):
        return 1.0
    same_script = dominant_script(name) == dominant_script(text)
    nearest = 0.0
    if isinstance(encoder, LateInteraction):
        nearest = float(encoder.max_sim([name], [text])[0, 0])
    forms = [bare for form in name_forms(text, language) for bare in bare_forms(form)] if not same_script else []
    alike = float(likeness(name, forms).max()) if forms else 0.0
    total = _BY_ENCODER * nearest + _BY_SOUND * max(0.0, alike - _BY_CHANCE) + _BIAS
    return 1 / (1 + math.exp(-total))
