"""Removes from a model's answer what a document may have put into it: links, images, tags, instructions."""

from __future__ import annotations

import regex

from rag.prompts import REFUSAL

# Bounded and possessive: a text of brackets must not cost more than another.
_TARGET = r"\((?:[^()]{1,500}+|\([^()]{0,500}+\)){0,8}+\)"
_IMAGE = regex.compile(rf"!\[[^\[\]]{{0,300}}+\](?:{_TARGET}|\([^()]{{0,2000}}+|\[[^\[\]]{{0,300}}+\])?")
_LINK = regex.compile(rf"\[([^\[\]]{{0,300}}+)\]{_TARGET}")
_DEFINITION = regex.compile(r"^[ \t]{0,8}+\[[^\[\]\n]{1,300}+\]:[ \t]*+\S.*$", regex.MULTILINE)
_TAG = regex.compile(
    r"<!--.*?(?:-->|$)|</?[a-z][a-z0-9-]*(?:\s[^>\n]*)?/?>|</?(?:script|img|iframe|svg|style|link|object|embed|video|audio|form|"
    r"input|meta|base|body|html|a)\b[^>\n]*>?",
    regex.IGNORECASE,
)
_ADDRESS = regex.compile(
    # Before an address may stand a letter of a script without spaces.
    r"(?:(?<![a-z\d])(?:(?:https?|ftp|file|blob)\s?:\s?[/\\]+\S+|(?:javascript|vbscript|mailto):\S+|data:[a-z]+/\S+|www\.\S+)|"
    r"(?<![\p{L}\d@.:])//[\p{L}\d-]+\.\S+)",
    regex.IGNORECASE,
)
_INVISIBLE = regex.compile(r"[\p{Cf}\p{Co}\p{Cn}--[\u200c\u200d]]", regex.VERSION1)  # joiners are part of some scripts
_MAX_ROUNDS = 5
_UNMARKED = str.maketrans("<>[]", "‹›⟨⟩")
_RUN = 40  # characters that nobody repeats by chance


def without_links(text: str) -> tuple[str, int]:
    """`text` without images, tags and addresses, and how many there were; of a link its words are kept."""
    n_all = 0
    text = _INVISIBLE.sub("", text)
    for _ in range(_MAX_ROUNDS):  # what is left of two may make one
        n_round = 0
        for pattern, kept in ((_IMAGE, " "), (_LINK, r"\1"), (_DEFINITION, " "), (_TAG, " "), (_ADDRESS, " ")):
            text, n = pattern.subn(kept, text)
            n_round += n
        n_all += n_round
        if not n_round:
            break
    else:
        text = text.translate(_UNMARKED)
    return (text, 0) if not n_all else (regex.sub(r"[ \t]{2,}", " ", text).strip(), n_all)


class Instructions:
    """Recognises text that repeats the instructions of a request."""

    def __init__(self, system: str, fence: str) -> None:
        """`system` is the system prompt, `fence` the line around the passages."""
        self._fence = fence.strip("=")
        plain = _plain(system)
        self._runs = {plain[i : i + _RUN] for i in range(len(plain) - _RUN + 1)}

    def repeated_in(self, sentence: str) -> bool:
        """Whether `sentence` has the fence, the word of refusal, or a run of the system prompt."""
        if self._fence in sentence or REFUSAL in sentence:
            return True
        plain = _plain(sentence)
        return any(plain[i : i + _RUN] in self._runs for i in range(max(0, len(plain) - _RUN + 1)))


def _plain(text: str) -> str:
    return " ".join(regex.findall(r"\w+", text.casefold()))
