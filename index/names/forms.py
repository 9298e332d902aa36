"""Words of a text that may be names, in every script, and what is left of them without endings and particles."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from itertools import chain

import regex

from index.names.sounds import sound_of
from index.text.hanzi import fold_traditional

_MAX_LETTERS = 24  # of a form; longer runs are no names
_CASED = r"\p{Latin}\p{Cyrillic}\p{Greek}\p{Armenian}"
_CASELESS = (
    r"\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Tamil}\p{Telugu}\p{Kannada}"
    r"\p{Malayalam}\p{Sinhala}\p{Georgian}\p{Ethiopic}"
)
# Characters that Chinese writes foreign names with: all that are at least 0.6 times as frequent in 11,400 names of
# people (Wikidata, CC0) as in articles. Simplified; docs/decisions/0011.
_TRANSCRIBING = (
    "斯尔克特拉德里尼卡利格罗维马夫阿亚布纳巴科奥诺莱迪雷基达米萨普塔洛瓦贝伊奇西兰曼姆鲁哈托比蒂勒多恩兹吉塞伦加森帕林安赫埃弗库内莫波梅"
    "索希娜伯菲费耶麦瑞凯玛顿苏提博艾沃法杜霍皮莉杰沙威古佩戈史图文穆蒙乌茨卢韦海金施劳登泽列泰齐什瑟谢扎福坦努切乔欧朗丽丹妮约雅赛丝娃高柯佐"
    "肯温尤桑丁莎辛盖汉隆根查戴贾佛宁琳宾迈芬康默舒葛扬班柏胡涅万摩祖夏考坎门连奎奈舍潘娅别昂松思狄契伍豪许纽那鲍寇厄甘怀拜芙凡滕哥邦派素儿肖"
    "汀赖钦爱唐席薇孔修季李朱叶亨薛赞侯堡拿卜珀依昆萝莲彼捷蕾密贡农彻云木楚逊吕毕惠廷臣荷露歇洁彭罕富策丘热珊翰奴恰黑锡嘉冯珍汤詹敏翁黛堤陶"
    "绍琪休魏卓崔优蓬翠雪碧邓孟申培久斐留津琴冈伏坚仁庞"
)
_MAYBE = regex.compile(
    rf"(?<![{_CASED}\p{{M}}])(?P<cased>(?=\p{{Lu}})[{_CASED}][{_CASED}\p{{M}}]{{2,}})"
    rf"|(?P<caseless>[{_CASELESS}][{_CASELESS}\p{{M}}]{{2,}})"
    r"|(?P<hangul>\p{Hangul}{2,})|(?P<katakana>[\p{Katakana}ー]{2,})"
)
# A name in Han characters, or a stretch without them: Hiragana, and signs that are no mark, come in no name.
_HAN_OR_OTHER = re.compile(rf"(?P<han>[{_TRANSCRIBING}]{{2,8}})|[^\u3001-\u3029\u3041-\u3096\u4e00-\u9fff]+")
# Characters of scripts with capitals: a word of nothing else is no name where all are small.
_ALL_CASED = re.compile(r"[\x00-\u03cf\u0400-\u058f\u2010-\u2027]+")
_MAX_WORD = 32  # characters; what is longer (a clause without spaces) does not come again
_PARTICLES = tuple(
    "은 는 이 가 을 를 의 에 와 과 도 만 로 으로 에서 에게 에는 께서 부터 까지 처럼 보다 이나 이며 이라 이란 라는 "
    "이라는 라고 이라고 씨 님 에게서 입니까 입니다 이다".split()
)
# Verbs and what ends as they do: no names.
_KOREAN_VERB = regex.compile(
    "(?:니다|었다|았다|했다|한다|된다|있다|없다|하고|되고|하며|하면|되면|지만|면서|하는|있는|없는|하게|했고|하지|해서|하던)$"
)
# What stands before or behind a name in one word with it.
_AFFIXES = [
    regex.compile(r"^[وف]?[بلك]?ال(?=\p{L}{3})|^[وفبلك](?=\p{L}{4})"),  # Arabic: and, by, to, the
    regex.compile(r"^[והבלמשכ](?=\p{Hebrew}{3})"),  # Hebrew: and, the, in, to, from
    regex.compile(r"(?<=\p{Cyrillic}{3})(?:ом|ем|ым|ой|ого|ому|ами|ах|ов)$"),  # Slavic endings with a consonant
]
_AFFIXED = re.compile(r"[\u0430-\u044f\u05d0-\u05ea\u0620-\u064a]")  # letters of these, one at least in each


def name_forms(text: str, language: str) -> list[str]:
    """Each word of `text` that may be a name, once, folded as terms are; capitalised ones where there are capitals.

    Han characters write foreign names in Chinese only.
    """
    return list(dict.fromkeys(form for form, _ in _found(text, language)))


def sound_terms(text: str, language: str) -> list[str]:
    """What the names of `text` are found by: `SOUND:FORM` for each, as in `ltmn:altman`."""
    return list(dict.fromkeys(chain.from_iterable(terms for _, terms in _found(text, language))))


_Forms = tuple[tuple[str, tuple[str, ...]], ...]  # each form with its sound terms


def _found(text: str, language: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    in_han = language.split("-")[0] in ("zh", "")
    # No name crosses white space.
    return chain.from_iterable(
        _known_names(word, in_han) if len(word) <= _MAX_WORD else _names_in(word, in_han)
        for word in dict.fromkeys(text.split())
    )


def _names_in(word: str, in_han: bool) -> _Forms:
    if word.lower() == word and _ALL_CASED.fullmatch(word):
        return ()
    normal = fold_traditional(unicodedata.normalize("NFKC", word))
    found: dict[str, None] = {}
    for stretch in _HAN_OR_OTHER.finditer(normal):
        if stretch.lastgroup is None:
            for match in _MAYBE.finditer(normal, *stretch.span()):
                found |= dict.fromkeys(form.casefold() for form in _cut(match.group(), str(match.lastgroup)))
        elif in_han:
            found |= dict.fromkeys(_cut(stretch.group(), "han"))
    return tuple((form, _sounds(form)) for form in found if len(form) <= _MAX_LETTERS and len(sound_of(form)) >= 2)


_known_names = functools.lru_cache(maxsize=1 << 16)(_names_in)


def _sounds(form: str) -> tuple[str, ...]:
    sounds = (sound_of(bare) for bare in bare_forms(form))
    return tuple(f"{sound}:{form}" for sound in sounds if len(sound) >= 2)


def _cut(run: str, kind: str) -> Iterator[str]:
    """What may be the name in a run of letters of one script that has no mark where a name ends."""
    if kind == "hangul" and _KOREAN_VERB.search(run):
        return
    yield run
    if kind == "hangul":
        # 나델라는 is 나델라 and a topic marker, or 나델 and "called": both are looked for.
        yield from (run.removesuffix(end) for end in _PARTICLES if run.endswith(end) and len(run) >= len(end) + 2)
    elif kind == "han" and len(run) > 2:
        yield from (run[1:], run[:-1])


@functools.lru_cache(maxsize=1 << 16)
def bare_forms(form: str) -> tuple[str, ...]:
    """`form` and what is left of it without the articles, prepositions and endings that are written with a name."""
    if not _AFFIXED.search(form):
        return (form,)
    bare = (pattern.sub("", form) for pattern in _AFFIXES)
    return tuple(dict.fromkeys([form, *bare]))
