"""Cutting a document into passages: verbatim runs of whole sentences."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Sequence

import regex

from index.documents import Document, Passage, Span
from index.settings import IndexSettings
from index.text.language import detect_language, dominant_script, reads_as, same_language, script_of
from index.text.script import count_scripts
from index.text.sentences import split_sentences, trimmed

CountTokens = Callable[[Sequence[str]], list[int]]

# Best places to split an oversize sentence, best first; each match ends where the left piece ends.
_INNER_BOUNDARIES = (
    regex.compile(r"[;；:：—][\s]*|\n\s*"),
    regex.compile(r"[,，、،؛][\s]*"),
    regex.compile(r"\s+"),
)
_CLUSTER = regex.compile(r"\X")
_EXTENDS = regex.compile(r"[\p{Grapheme_Extend}\p{GCB=SpacingMark}\u200d]")
# Most tokens that a joint adds: a newline glued to the next word spoils it for a vocabulary (measured: 3.6 in Bengali).
_JOINT_TOKENS = 8
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
_MAX_CLUSTER = 100  # code points; what is longer was made to look broken, and may be cut


def chunk(document: Document, count_tokens: CountTokens, settings: IndexSettings) -> list[Passage]:
    """Passages of `document`, in order, each sized in the encoder's own tokens.

    A passage holds whole sentences up to `settings.target_tokens` (one sentence may reach
    `max_tokens`; a longer one is split at its best inner boundary), starts with the last
    `overlap_sentences` of the one before, and never crosses a heading.
    """
    text = document.text
    sentences = split_sentences(text, document.metadata.language)
    sentences = _cut_at_headings(text, sentences, document.headings)
    counts = count_tokens([text[a:b] for a, b in sentences])
    sentences, counts = _split_oversize(text, sentences, counts, count_tokens, settings.max_tokens)
    passages: list[Passage] = []
    script = script_of(document.metadata.language) or dominant_script(text)
    for section, first, last in _sections(text, sentences, document.headings):
        groups = [(first + start, first + stop) for start, stop in _group(counts[first:last], settings)]
        for start, stop in _fitting(text, sentences, counts, groups, count_tokens, settings.max_tokens):
            run = tuple(sentences[start:stop])
            span = Span(run[0].start, run[-1].end)
            body = text[span.start : span.end]
            language = _passage_language(body, document.metadata.language, script)
            passages.append(Passage(len(passages), *span, body, run, language, section))
    return passages


def _fitting(
    text: str,
    sentences: Sequence[Span],
    counts: Sequence[int],
    groups: Sequence[tuple[int, int]],
    count_tokens: CountTokens,
    max_tokens: int,
) -> list[tuple[int, int]]:
    """The groups, in halves where one has over `max_tokens`: what stands between its sentences counts too."""
    fitting: list[tuple[int, int]] = []
    todo = list(reversed(groups))
    while todo:
        start, stop = todo.pop()
        upper_bound = sum(counts[start:stop]) + _JOINT_TOKENS * (stop - start - 1)
        if stop - start > 1 and upper_bound > max_tokens:
            (n_tokens,) = count_tokens([text[sentences[start].start : sentences[stop - 1].end]])
            if n_tokens > max_tokens:
                middle = (start + stop) // 2
                todo += [(middle, stop), (start, middle)]
                continue
        # Halves can lie within the overlap of a neighbour, and then add nothing.
        while fitting and start <= fitting[-1][0]:
            fitting.pop()
        if not fitting or stop > fitting[-1][1]:
            fitting.append((start, stop))
    return fitting


_LEAST_OWN = 0.08  # of the letters of a passage
_TELLING = 120  # characters; of fewer a language is a guess


def _passage_language(text: str, document_language: str, document_script: str) -> str:
    """The document's language unless the passage is in another script or clearly in another language."""
    script = dominant_script(text)
    if script == "Han" and document_script == "kana" and len(text) < _TELLING:
        return document_language  # a line of kanji
    if script == "Latin" != document_script:
        of_script = ("Hiragana", "Katakana", "Han") if document_script == "kana" else (document_script,)
        counts = count_scripts(text)
        if sum(counts.get(name, 0) for name in of_script) >= _LEAST_OWN * sum(counts.values()):
            return document_language  # full of names
    if document_language and script in (document_script, ""):
        if document_script != "Latin" or len(text) < _TELLING or reads_as(text, document_language):
            return document_language
        found = detect_language(text[:240])
        return found if found and not same_language(found, document_language) else document_language
    return detect_language(text) or document_language


def _cut_at_headings(text: str, sentences: list[Span], headings: Sequence[Span]) -> list[Span]:
    """Make every heading a sentence of its own, whatever its punctuation."""
    if not headings:
        return sentences
    starts = {heading.start for heading in headings}
    heading_ends = [heading.end for heading in headings]
    heading_starts = [heading.start for heading in headings]
    kept = []
    for span in sentences:
        i = bisect_right(heading_starts, span.start) - 1
        if i < 0 or span.start >= heading_ends[i]:
            kept.append(span)
        elif span.start in starts:
            kept.append(headings[i])
    return kept


def _sections(text: str, sentences: list[Span], headings: Sequence[Span]) -> list[tuple[str, int, int]]:
    """(heading text, first sentence, last sentence + 1) of each section; headings in a row share one."""
    starts = {heading.start for heading in headings}
    cuts = [0]
    for i in range(1, len(sentences)):
        if sentences[i].start in starts and sentences[i - 1].start not in starts:
            cuts.append(i)
    cuts.append(len(sentences))
    sections = []
    for first, last in itertools.pairwise(cuts):
        if first < last:
            opening = sentences[first]
            title = text[opening.start : opening.end] if opening.start in starts else ""
            sections.append((title, first, last))
    return sections


def _group(counts: Sequence[int], settings: IndexSettings) -> list[tuple[int, int]]:
    """(first, last + 1) of each passage over sentences with these token counts."""
    groups: list[tuple[int, int]] = []
    start = 0
    while start < len(counts):
        stop, total = start + 1, counts[start]
        while stop < len(counts) and total + counts[stop] <= settings.target_tokens:
            total += counts[stop]
            stop += 1
        groups.append((start, stop))
        if stop >= len(counts):
            break
        overlap = min(settings.overlap_sentences, stop - start - 1)
        # An overlap that leaves no room for the next sentence would repeat itself for nothing.
        while overlap and sum(counts[stop - overlap : stop + 1]) > settings.target_tokens:
            overlap -= 1
        start = stop - overlap
    return _merge_short_tail(counts, groups, settings)


def _merge_short_tail(
    counts: Sequence[int], groups: list[tuple[int, int]], settings: IndexSettings
) -> list[tuple[int, int]]:
    if len(groups) < 2:
        return groups
    (before_start, before_stop), (_, stop) = groups[-2:]
    new = sum(counts[before_stop:stop])
    if new < settings.target_tokens // 4 and sum(counts[before_start:stop]) <= settings.max_tokens:
        return [*groups[:-2], (before_start, stop)]
    return groups


def _split_oversize(
    text: str, sentences: list[Span], counts: list[int], count_tokens: CountTokens, max_tokens: int
) -> tuple[list[Span], list[int]]:
    if not counts or max(counts) <= max_tokens:
        return sentences, counts
    spans: list[Span] = []
    new_counts: list[int] = []
    for span, n_tokens in zip(sentences, counts, strict=True):
        pieces = [span] if n_tokens <= max_tokens else _split_span(text, span, n_tokens, count_tokens, max_tokens)
        spans.extend(pieces)
        new_counts.extend([n_tokens] if len(pieces) == 1 else count_tokens([text[a:b] for a, b in pieces]))
    return spans, new_counts


def _split_span(text: str, span: Span, n_tokens: int, count_tokens: CountTokens, max_tokens: int) -> list[Span]:
    """Pieces of one oversize sentence, each of at most `max_tokens`."""
    pieces: list[Span] = []
    todo = [(span, n_tokens)]
    while todo:
        current, n = todo.pop()
        if n <= max_tokens or current.end - current.start < 2:
            pieces.append(current)
            continue
        # Even shares first, so that a very long run costs one pass over it and not one a piece.
        n_shares = max(2, -(-n // max(1, int(max_tokens * 0.9))))
        parts = _even_cuts(text, current, n_shares) or [current]
        if parts == [current]:  # one cluster
            middle = (current.start + current.end) // 2
            parts = [Span(current.start, middle), Span(middle, current.end)]
        tokens = count_tokens([text[a:b] for a, b in parts])
        todo.extend(reversed(list(zip(parts, tokens, strict=True))))
    return pieces


def _even_cuts(text: str, span: Span, n_shares: int) -> list[Span]:
    share = (span.end - span.start) / n_shares
    cuts = [span.start]
    for i in range(1, n_shares):
        ideal = span.start + round(i * share)
        if cuts[-1] < ideal:
            cuts.append(min(span.end, _best_boundary(text, cuts[-1], ideal - int(share / 4), ideal)))
    edges = [*cuts, span.end]
    spans = [trimmed(text, a, b) for a, b in itertools.pairwise(edges) if a < b]
    return [s for s in spans if s.start < s.end]


def _best_boundary(text: str, previous: int, low: int, ideal: int) -> int:
    """The last good boundary between `low` and `ideal`; without one, the last between grapheme clusters.

    Inside a cluster (accent, ZWJ emoji) the pieces would render as other characters.
    """
    for pattern in _INNER_BOUNDARIES:
        found = [m.end() for m in pattern.finditer(text, max(previous + 1, low), ideal)]
        found = [position for position in found if not _EXTENDS.match(text, position)]
        if found:
            return found[-1]
    return _cluster_boundary(text, previous, ideal)


def _cluster_boundary(text: str, previous: int, ideal: int) -> int:
    """The last boundary between grapheme clusters before `ideal`, or the first one after `previous`."""
    # Few characters, cut out: regex looks back over the whole cluster at each character of it.
    start = max(previous, ideal - 2 * _MAX_CLUSTER)
    before = text[previous:start]
    start += (len(before) - len(before.rstrip(_FLAG_LETTERS))) % 2  # not between the two letters of a flag
    ends = [start + match.end() for match in _CLUSTER.finditer(text[start : ideal + 1])]
    if start > previous:
        del ends[0]  # a scan that begins inside a cluster sees one false boundary
    if len(ends) > 1:
        return ends[-2]
    first = _CLUSTER.match(text[previous : previous + _MAX_CLUSTER]) if start == previous else None
    return previous + first.end() if first else ideal
