"""Stops that end no sentence: abbreviations, initials, ordinals, dates."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import regex

# Compared without case; `may_end` splits only before an upper-case letter.
_WORDS = tomllib.loads((files("index.text") / "abbreviations.toml").read_text("utf-8"))
_ABBREVIATIONS = frozenset(" ".join(_WORDS["never_end"].values()).split())
_MAY_END = frozenset(_WORDS["may_end"].split())
_DOTTED = regex.compile(r"(?:\p{L}\p{M}*\.)+\p{L}\p{M}*")
_AFTER_ORDINAL = regex.compile(
    r"(?i)(?:januar|jänner|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember|"
    r"jahrhundert|jh|jahrestag|bundes|auflage|stock|weltkrieg|runde|klasse|minute|spieltag|platz|"
    r"január|február|március|április|május|június|július|augusztus|szeptember|október|november|december|"
    r"ledna|února|března|dubna|května|června|července|srpna|září|října|listopadu|prosince|"
    r"tammi|helmi|maalis|huhti|touko|kesä|heinä|elo|syys|loka|marras|joulu|századi?|desember|desember|mars)|(?-i:(?:FC|SV|FSV|TSV)\b)"
)
_SPACED_LETTERS = regex.compile(r"(?:\p{L}\p{M}*|UU)\.|J\.?-C\.")
_HYPHENED_INITIALS = regex.compile(r"\p{Lu}\.-\p{Lu}")
_ROMAN = regex.compile(r"[IVX]+\b")
_HANGUL_OR_HAN = regex.compile(r"[\uAC00-\uD7AF\u4E00-\u9FFF]")
_QUOTES = "\"'“”‘’«»„‚‹›（(［[【「『〈《）)］]】」』〉》¿¡"
_ELISION = regex.compile(r"^\p{L}{1,4}['’](?=\p{L})")  # l'art.
_MARK = regex.compile(r"\p{M}")
_RUSSIAN_ETC = regex.compile(r"(?:т|и)\.\s?[дпо]$")  # т. д., т. п., и о.
_DAY_OR_MONTH = regex.compile(r"\d{1,2}\.")
_WHOLE_DATE = regex.compile(r"\d{4}\.\s?\d{1,2}\.\s?\d{1,2}$")
_DAY_MONTH = regex.compile(r"\d{1,2}\.\s?\d{1,2}$")
_YEAR = regex.compile(r"\d{4}\b")
_SENTENCE_OPENER = regex.compile(
    r"(?:The|A|An|He|She|It|They|We|I|In|On|At|But|And|This|That|These|Those|Its|For|As|By|After|When|While|If|However|"
    r"There|Meanwhile|Officials|Many|Some|Most|No|Not)\b"
)


def is_abbreviation(text: str, begin: int, stop: int, nxt: str, following: str, language: str, word: str) -> bool:
    """Whether the stop at `stop` belongs to `word`, the one before it, and ends no sentence.

    Args:
        text: The whole text; the sentence starts at `begin`.
        begin: Where the sentence starts.
        stop: Where the stop stands.
        nxt: The first letter or digit behind it, past quotes and brackets.
        following: The text behind it, white space stripped.
        language: Primary subtag, empty where unknown.
        word: The word before the stop.
    """
    bare = _ELISION.sub("", word.casefold().strip(_QUOTES))
    n_letters = len(_MARK.sub("", bare))
    if _SPACED_LETTERS.match(following) and (n_letters == 1 or (n_letters == 2 and word.isupper())):
        return True  # z. B., EE. UU., И. И. Петров
    if _HYPHENED_INITIALS.fullmatch(word) or (n_letters == 1 and _ROMAN.match(following)):
        return True  # J.-P. Morel, s. XIX
    if _RUSSIAN_ETC.search(text[max(begin, stop - 5) : stop]):
        return not nxt.isupper()
    if len(word) == 1 and word.isupper():
        return bare in ("m", "p") or _looks_like_initial(text, begin, stop, nxt)
    if language == "en" and bare in ("jr", "sr"):
        return not nxt.isupper()
    if bare in _MAY_END or (bare.rsplit(".", 1)[-1] in _MAY_END and "." in bare):
        return not (nxt.isupper() or not nxt or not nxt.isalpha()) or _name_follows_dotted(bare, following)
    if bare in _ABBREVIATIONS or (bare.endswith("str") and nxt.isdigit()):
        return not _HANGUL_OR_HAN.search(word)
    if _DOTTED.fullmatch(word):
        return not nxt.isupper()
    if len(bare) == 1 and bare.isalpha() and not nxt.isupper():
        return True
    if word.isdigit() and len(word) <= 4:
        return _number_goes_on(text[max(begin, stop - 16) : stop], word, following, language)
    return False


def _name_follows_dotted(bare: str, following: str) -> bool:
    # "U.S. Congress": an upper-case word may follow inside the sentence; "The", "He", ... begin one.
    if bare not in ("u.s", "u.k", "u.n", "e.u", "d.c"):
        return False
    return not _SENTENCE_OPENER.match(following.lstrip(_QUOTES))


def _looks_like_initial(text: str, begin: int, stop: int, nxt: str) -> bool:
    """`J.` in `J. R. R. Tolkien`; not the `A` of `vitamin A. The`."""
    if not nxt.isupper():
        return True
    before = text[max(begin, stop - 60) : stop - 1].rstrip()
    last = before.split()[-1] if before else ""
    return not last or last.endswith(".") or last[:1].isupper() or last.strip(_QUOTES) == ""


def _number_goes_on(before: str, word: str, following: str, language: str) -> bool:
    """Whether "." after a number belongs to a date or an ordinal: 2024. 5. 18. / am 12. 4. 2022 / 3. Mai."""
    if _DAY_OR_MONTH.match(following) and len(word) != 3:
        return True
    if _WHOLE_DATE.search(before):
        return True
    if _YEAR.match(following) and _DAY_MONTH.search(before):
        return True
    if language in ("de", "hu", "cs", "sk", "fi", "da", "nb", "sl", "hr", "et", "lv", "tr", ""):
        return len(word) <= 2 and bool(_AFTER_ORDINAL.match(following))
    return False
