"""The measures by group: language, tag, document, and from which language to which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eval.report.figures import HEADLINE, PAIRS, between, figure, number, sure
from eval.report.markup import Markup, el, joined
from eval.report.parts import cell, filtered, section, table
from eval.report.words import language_label, measure_word

Groups = Mapping[str, Mapping[str, Any]]

_MAX_GROUPS = 60
_MOST_OPEN = 12  # documents; a longer table is folded up
_COLUMNS = tuple(measure for measure in HEADLINE if measure != "abstention.f1")
_N = "n"


def groups(summary: Mapping[str, Any]) -> Markup:
    """The measures by language, tag and document."""
    languages, tags = summary.get("by_language", {}), summary.get("by_tag", {})
    said = (
        "Beneath each number its 95 % interval, or n where fewer than 5 questions were measured, which say little."
        " A name is a link to its questions."
    )
    return section(
        "groups",
        "By group",
        said,
        _groups(languages, "By language of the question", {name: _chosen(name, "language") for name in languages}),
        _groups(tags, "By tag", {name: _chosen(name, "tag") for name in tags}),
        _documents(summary.get("by_document", {})),
    )


def _chosen(name: str, key: str) -> Markup:
    return filtered(language_label(name) if key == "language" else name, **{key: name})


def _documents(found: Groups) -> Markup:
    folder = _folder(found)
    names = {name: el("bdi", name.removeprefix(folder), title=name) for name in found}
    caption = f"By document of the evidence{', in ' if folder else ''}{folder}"
    own = _groups(found, caption, names)
    if len(found) <= _MOST_OPEN:
        return own
    return el("details", el("summary", f"By document of the evidence ({len(found):,})"), own, class_="folded")


def _folder(names: Iterable[str]) -> str:
    """The folder that all documents lie in; empty where there is none."""
    parts = [name.split("/")[:-1] for name in names]
    common = []
    for here in zip(*parts, strict=False):
        if len(set(here)) > 1:
            break
        common.append(here[0])
    return "/".join([*common, ""]) if common and len(parts) > 1 else ""


def _groups(found: Groups, caption: str, names: Mapping[str, Markup]) -> Markup:
    if not found:
        return Markup()
    measures = [measure for measure in _COLUMNS if any(figure(group, measure) for group in found.values())]
    # Of very many groups the largest are shown; those shown keep their order.
    largest = set(sorted(found, key=lambda name: (-found[name].get("n", 0), name))[:_MAX_GROUPS])
    body = [
        el(
            "tr",
            el("th", names[name], scope="row"),
            cell(f"{group.get('n', 0):,}"),
            *(_measured(group, measure) for measure in measures),
        )
        for name, group in found.items()
        if name in largest
    ]
    columns = ["group", el("th", "n", scope="col", title="questions"), *map(_heading, measures)]
    n_more = len(found) - len(body)
    more = el("p", f"{n_more:,} smaller groups are not shown.", class_="soft") if n_more else ""
    return joined([table(caption, columns, body, "groups"), more])


def _heading(measure: str) -> Markup:
    word = measure_word(measure)
    return el("th", word.name, scope="col", title=f"{measure}: {word.meaning}")


def _measured(group: Mapping[str, Any], measure: str) -> Markup:
    found = figure(group, measure)
    if found is None:
        return cell("–")
    return cell(number(found.value), el("small", sure(found)), title=f"{measure}, n = {found.n:,}")


def pairs(summary: Mapping[str, Any]) -> Markup:
    """Every measure by the language of the question and of the document, one at a time."""
    found = summary.get("by_language_pair", {})
    measures = [measure for measure in PAIRS if any(figure(group, measure) for group in found.values())]
    if not measures:
        return Markup()
    chosen = "recall@5" if "recall@5" in measures else measures[0]
    choices = []
    for place, measure in enumerate([*measures, _N]):
        name, meaning = _name(measure)
        choices += [
            el("input", type="radio", name="heat", id=f"heat{place}", checked=measure == chosen),
            el("label", name, for_=f"heat{place}", title=meaning),
        ]
    said = (
        "Rows: language of the question. Columns: language of the document with the evidence. A deeper colour is a"
        " higher number; its n and interval show on pointing at it, its questions on choosing it."
    )
    maps = [_map(found, measure, place) for place, measure in enumerate([*measures, _N])]
    choice = el("fieldset", el("legend", "Measure"), *choices, class_="choice")
    return section("pairs", "From language to language", said, choice, *maps)


def _name(measure: str) -> tuple[str, str]:
    if measure == _N:
        return "Number of questions", "How many questions each pair of languages has."
    word = measure_word(measure)
    return word.name, f"{measure}: {word.meaning}"


def _map(found: Groups, measure: str, place: int) -> Markup:
    asked = sorted({pair.partition("->")[0] for pair in found})
    written = sorted({pair.partition("->")[2] for pair in found})
    body = []
    for language in asked:
        cells = [_shaded(found.get(f"{language}->{other}"), measure, language, other) for other in written]
        body.append(el("tr", el("th", language, scope="row", title=language_label(language)), *cells))
    columns = ["asked in", *(el("th", other, scope="col", title=language_label(other)) for other in written)]
    caption = _name(measure)[0] + (f" ({measure})" if measure != _N else "")
    return el("div", table(caption, columns, body), class_=f"heat heat{place}")


def _shaded(group: Mapping[str, Any] | None, measure: str, asked: str, written: str) -> Markup:
    if group is None:
        return el("td", "·", class_="none")
    where = f"{language_label(asked)} to {language_label(written)}"
    pair = f"{asked}->{written}"
    if measure == _N:
        return el("td", filtered(f"{group.get('n', 0):,}", where, pair=pair))
    found = figure(group, measure)
    if found is None:
        return el("td", "·", class_="none")
    interval = f", 95 % interval {between(found.interval)}" if found.interval else ""
    title = f"{where}: {number(found.value)}, n = {found.n:,}{interval}"
    shade = round(10 * min(1.0, max(0.0, found.value)))
    return el("td", filtered(f"{found.value:.2f}", title, pair=pair), class_=f"h{shade}", title=title)
