"""Bytes to text: every legacy codec of the languages asked for, exactly, and damage never passed over in silence."""

# ruff: noqa: E501  (paragraphs of running text)

from __future__ import annotations

import codecs
import gzip
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import ReadError
from index.read.encoding import decode
from index.read.text import read_text

# Paragraphs written for this file. Those in the older codecs keep to the characters that these have.
KOREAN = (
    "서울시는 지난해 여름 폭우 이후 하천 주변의 산책로를 모두 다시 설계했다. 담당 부서는 시민 1,200명의 의견을 듣고 "
    "가로등과 비상벨의 위치를 바꾸었다. “밤에도 안심하고 걸을 수 있게 되었습니다”라고 한 주민이 말했다. 공사는 예산 부족으로 "
    "두 번 미뤄졌지만, 올해 3월에 마침내 끝났다. 다음 단계에서는 자전거 도로를 넓힐 계획이다."
)
KOREAN_WITH_RARE_SYLLABLES = (
    "그는 시골집 마루에 앉아 뜀박질하는 아이들을 바라보며 볶음밥을 먹었다. 펲시맨이라는 별명을 가진 동네 형은 똠방각하처럼 "
    "거들먹거리며 지나갔다. 할머니는 햄볶는 냄새가 좋다며 웃었고, 강아지는 뒷마당에서 낑낑거렸다. 저녁이 되자 모두 평상에 모여 수박을 나누어 먹었다."
)
TRADITIONAL = (
    "台北市政府昨天宣布，位於河濱的舊倉庫將改建為公共圖書館。設計團隊表示，他們會保留原有的紅磚牆，並且增加一座可以看見"
    "觀音山的屋頂花園。「我們希望每個孩子都能在這裡找到喜歡的書。」館長對記者說。工程預計在2026年春天完成，總經費約為"
    "三億兩千萬元。附近的居民對這項計畫多半表示歡迎，但也擔心週末的交通會更加擁擠。"
)
HONG_KONG = (
    "香港天文台表示，今個星期嘅天氣會好唔穩定，市民出門記得帶遮。佢哋話星期三開始會有幾陣狂風驟雨，氣溫會跌到十八度左右。"
    "有街坊話：「我哋呢度嘅渠成日塞住，落大雨就浸到入屋。」渠務署就話已經派咗人去清理，希望喺風季之前搞掂。"
)
SIMPLIFIED = (
    "这家公司去年在杭州成立了一个新的研究中心，专门开发节能的冷藏设备。负责人说，第一批产品已经通过了国家的检测，耗电量比"
    "旧型号减少了百分之四十。“我们并不打算马上进入海外市场，”她在采访中表示，“先要把国内的服务做好。”不过，几位投资人认为"
    "这样的步伐太慢了。到目前为止，公司一共有二百六十名员工，其中一半是工程师。"
)
JAPANESE = (
    "長野県の小さな町で、廃校になった小学校が新しい図書館として生まれ変わった。教室の黒板や木の机はそのまま残されており、"
    "訪れた人は昔の雰囲気を楽しむことができる。「子どもの頃に通った場所が、また人でにぎわうのはうれしい」と、地元の女性は"
    "話していた。開館から半年で、利用者は延べ一万二千人を超えたという。来年の春には、カフェとギャラリーも開かれる予定だ。"
)
RUSSIAN = (
    "В прошлом году город открыл три новых моста, и поездка до вокзала стала короче на двадцать минут. Инженеры объясняют, что "
    'старые опоры проверили дважды: осенью и после зимних морозов. "Мы не хотели рисковать", - сказал руководитель проекта. '
    "Жители, впрочем, жалуются на шум и просят поставить защитные экраны. Ещё один мост должны построить к 2027 году."
)
RUSSIAN_TYPESET = (
    "Учёные из Новосибирска описали новый вид жука — № 14 в коллекции, собранной ещё в 1932 году. «Мы узнали его по форме "
    "усиков», — рассказала Елена Шмидт. Работа опубликована в журнале… которого почти никто не читает. Следующая экспедиция "
    "отправится на Алтай в июне."
)
FULL_MATRIX = [
    *(("ko", codec, KOREAN) for codec in ("cp949", "euc_kr")),
    ("ko", "cp949", KOREAN_WITH_RARE_SYLLABLES),
    *(("zh-Hant", codec, TRADITIONAL) for codec in ("big5", "cp950", "big5hkscs", "gb18030", "gbk")),
    ("zh-Hant", "big5hkscs", HONG_KONG),
    *(("zh-Hans", codec, SIMPLIFIED) for codec in ("gb18030", "gbk", "gb2312")),
    *(("ja", codec, JAPANESE) for codec in ("shift_jis", "cp932", "euc_jp")),
    *(("ru", codec, RUSSIAN) for codec in ("cp1251", "koi8_r", "iso8859_5", "cp866")),
    ("ru", "cp1251", RUSSIAN_TYPESET),
]
WINDOWS = {
    "de": (
        "cp1252",
        "Über die Brücke fährt seit Mai keine Straßenbahn mehr. Die Stadt prüft, ob das Geländer höher werden muss. „Für "
        "Fußgänger bleibt alles, wie es war“, sagte die Bürgermeisterin. Größere Schäden fand man nicht.",
    ),
    "fr": (
        "cp1252",
        "L’été dernier, la bibliothèque a été fermée à cause d’une fuite d’eau. Les élèves ont dû étudier à la mairie, où "
        "l’on avait installé des tables. « C’était plutôt agréable », dit Zoé. Où iront-ils cette année ? Le cœur du "
        "problème reste le budget.",
    ),
    "es": (
        "cp1252",
        "El año pasado la compañía perdió más de tres millones de pesos. ¿Quién pagará la deuda? Según el señor Muñoz, "
        "nadie lo sabe todavía. «Habrá que esperar», añadió. La próxima reunión será en Logroño.",
    ),
    "pl": (
        "cp1250",
        "Wczoraj w Łodzi otwarto nową przychodnię dla dzieci. Lekarze mówią, że będą tu przyjmować także w święta. „Czegoś "
        "takiego brakowało od lat” – powiedziała pani Żaneta. Ściany pomalowali uczniowie pobliskiej szkoły.",
    ),
    "cs": (
        "cp1250",
        "Příští týden začne oprava dálnice mezi Brnem a Olomoucí. Řidiči musí počítat se zpožděním až třicet minut. „Dříve "
        "to bohužel nešlo,“ řekl mluvčí. Objížďka povede přes Vyškov a nějaké menší obce.",
    ),
    "tr": (
        "cp1254",
        "Geçen yıl İzmir’de açılan müze şimdiye kadar yüz bin ziyaretçi ağırladı. Müdür, çocuklar için yeni bir bölüm "
        "hazırladıklarını söyledi. “Işık ve gölge üzerine bir sergi olacak” dedi. Giriş ücreti değişmeyecek.",
    ),
    "el": (
        "cp1253",
        "Ο δήμος ανακοίνωσε ότι η παλιά αγορά θα ανοίξει ξανά τον Σεπτέμβριο. Οι εργασίες κράτησαν δύο χρόνια και κόστισαν "
        "τέσσερα εκατομμύρια ευρώ. Ποιος θα πληρώσει τη συντήρηση; Κανείς δεν απάντησε. Οι έμποροι όμως ελπίζουν.",
    ),
    "he": (
        "cp1255",
        "העירייה הודיעה אתמול כי הספרייה הישנה תיפתח מחדש בחודש הבא. השיפוץ נמשך שנתיים ועלה שלושה מיליון שקלים. מי ישלם על "
        'התחזוקה? איש לא ענה. "אנחנו מקווים לטוב", אמרה המנהלת.',
    ),
    "ar": (
        "cp1256",
        "أعلنت البلدية أمس أن المكتبة القديمة ستفتح أبوابها من جديد في الشهر القادم. استمرت أعمال الترميم سنتين وبلغت كلفتها "
        "ثلاثة ملايين دينار. من سيدفع نفقات الصيانة؟ لم يجب أحد عن هذا السؤال.",
    ),
    "th": (
        "cp874",
        "เทศบาลประกาศเมื่อวานนี้ว่าห้องสมุดเก่าจะเปิดอีกครั้งในเดือนหน้า การซ่อมแซมใช้เวลาสองปีและมีค่าใช้จ่ายสามล้านบาท "
        "ใครจะเป็นผู้จ่ายค่าบำรุงรักษา ยังไม่มีใครตอบคำถามนี้ แต่ชาวบ้านก็ยังหวังว่าจะได้อ่านหนังสือที่นี่",
    ),
}
EVERY_TEXT = {
    "ko": KOREAN,
    "zh-Hant": TRADITIONAL,
    "zh-Hans": SIMPLIFIED,
    "ja": JAPANESE,
    "ru": RUSSIAN_TYPESET,
    **{language: text for language, (_, text) in WINDOWS.items()},
    "en": "The vote was close: 42 members were for it, and 41 were against. Nobody asked why.",
    "emoji": "The harvest 🌾 was good 👩🏽‍🌾 this year. 𠮷野家 opened a shop.",
}


def named(rows: list[tuple[str, str, str]]) -> list[object]:
    return [pytest.param(*row[1:], id=f"{row[0]}-{row[1]}-{i}") for i, row in enumerate(rows)]


WINDOWS_MATRIX = [(language, *row) for language, row in WINDOWS.items()]


@pytest.mark.parametrize(("codec", "text"), named([*FULL_MATRIX, *WINDOWS_MATRIX, ("ja", "iso2022_jp", JAPANESE)]))
def test_a_legacy_paragraph_comes_back_exactly(codec: str, text: str) -> None:
    assert decode(text.encode(codec))[0] == text


@pytest.mark.parametrize(("codec", "text"), named(FULL_MATRIX))
def test_a_line_of_a_legacy_paragraph_is_enough(codec: str, text: str) -> None:
    for line in (text[:60], text[:25]):
        assert decode(line.encode(codec))[0] == line


@pytest.mark.parametrize(("codec", "text"), named(FULL_MATRIX))
def test_a_legacy_file_longer_than_the_sample_comes_back_exactly(codec: str, text: str) -> None:
    # 200,000 bytes are looked at; the shift by one puts the cut inside a character of two bytes.
    long = "a" + (text + "\n") * (450_000 // len(text.encode(codec)))
    assert decode(long.encode(codec))[0] == long


@pytest.mark.parametrize("text", EVERY_TEXT.values(), ids=EVERY_TEXT)
@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
    ids=["utf8", "utf8-bom", "utf16le-bom", "utf16be-bom", "utf16le", "utf16be", "utf32le-bom", "utf32be-bom"],
)
def test_unicode_in_every_form_comes_back_exactly_and_without_its_mark(mark: bytes, codec: str, text: str) -> None:
    assert decode(mark + text.encode(codec))[0] == text
    decomposed = unicodedata.normalize("NFD", text)
    if codec == "utf-8":
        assert decode(mark + decomposed.encode()) == (decomposed, "utf-8", ())


@pytest.mark.parametrize("text", [text for text in EVERY_TEXT.values() if not text.isascii()])
@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xe4\xb8", b"\x80"], ids=["ff", "lead", "cut", "trail"])
def test_a_bad_byte_in_utf8_is_reported_and_costs_one_character(text: str, bad: bytes) -> None:
    middle = text.index(" ") if " " in text else len(text) // 2
    data = text[:middle].encode() + bad + text[middle:].encode()
    article = read_text(data * 3)
    expected = (text[:middle] + "\ufffd" + text[middle:]) * 3
    assert "\n\n".join(block.text for block in article.blocks) == expected
    assert [note for note in article.notes if "UTF-8" in note and "3" in note]


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01" + bytes(9) + bytes(range(256)) * 40,
        b"PK\x03\x04\x14\x00\x08\x08\x08\x00" + bytes((i * 7919 + i // 3) % 256 for i in range(9000)),
        bytes(5000),
        b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes((i * i * 31 + 7) % 256 for i in range(9000)),
    ],
    ids=["elf", "zip", "nul", "jpeg"],
)
def test_binary_data_is_refused(data: bytes) -> None:
    with pytest.raises(ReadError):
        decode(data)
    text = KOREAN + "\x00" + KOREAN
    assert decode(text.encode()) == (text, "utf-8", ())  # a stray NUL does not make a text binary


@pytest.mark.parametrize("codec", ["utf-16", "utf-32"])
def test_a_damaged_text_with_a_mark_is_refused_with_the_place(codec: str) -> None:
    data = (codecs.BOM_UTF16_LE if codec == "utf-16" else codecs.BOM_UTF32_LE) + "ab".encode(f"{codec}-le") + b"\x01"
    with pytest.raises(ReadError, match=f"not valid {codec}"):
        decode(data)


def test_a_declared_codec_decides_only_where_the_bytes_do_not() -> None:
    # Servers name ISO-8859-1 by default, whatever the page is in.
    assert decode(JAPANESE.encode("shift_jis"), "iso-8859-1")[0] == JAPANESE
    assert decode(RUSSIAN.encode("koi8_r"), "windows-1251")[0] == RUSSIAN
    assert decode(KOREAN.encode(), "euc-kr") == (KOREAN, "utf-8", ())
    data = "dwójką".encode("cp1250")  # ends in 0xB9, which is š in ISO-8859-2, and no word tells
    assert decode(data, "windows-1250").text == "dwójką"
    assert decode(data, "iso-8859-2").text == "dwójkš"


def test_a_declared_codec_that_is_slow_on_purpose_is_not_tried() -> None:
    # Python's punycode takes quadratic time; pages may declare what they like.
    data = b"\xfc" + b"abc-99999" * 20_000
    assert decode(data, "punycode").codec != "punycode"


def test_a_legacy_codec_is_named_in_the_notes() -> None:
    assert read_text(KOREAN.encode("cp949")).notes == ("decoded as cp949",)
    assert read_text(KOREAN.encode()).notes == ()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_text_or_a_read_error(data: bytes) -> None:
    try:
        text, codec, _ = decode(data)
    except ReadError:
        return
    assert isinstance(text, str)
    assert codecs.lookup(codec)


@pytest.mark.parametrize(
    ("language", "codec"),
    [
        ("ko", "cp949"),
        ("zh-Hans", "gb18030"),
        ("zh-Hant", "cp950"),
        ("zh-Hant", "gb18030"),
        ("ja", "cp932"),
        ("ja", "euc_jp"),
        ("ru", "cp1251"),
        ("ru", "koi8_r"),
        ("ru", "iso8859_5"),
    ],
)
def test_single_sentences_of_other_people_come_back_exactly(shared: Path, language: str, codec: str) -> None:
    rows = gzip.decompress((shared / f"data/dev/flores101-devtest/{language}.tsv.gz").read_bytes()).decode()
    sentences = [row.split("\t")[-1] for row in rows.splitlines()[::10]]
    legacy = [text for text in sentences if not text.isascii() and all(_encodable(char, codec) for char in text)]
    wrong = [text for text in legacy if decode(text.encode(codec)).text != text]
    assert len(legacy) >= 80
    assert len(wrong) <= 1, wrong


def _encodable(char: str, codec: str) -> bool:
    try:
        return bool(char.encode(codec))
    except UnicodeEncodeError:
        return False
