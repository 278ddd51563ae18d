"""Texts compare equal where a reader takes them for the same, and words are those of the script."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.data.comparison import normalised
from rabtriever_core.data.feedback import query_id
from rabtriever_core.data.words import words

# Surrogates too: a text that broken input holds is compared before a rule finds it.
ANY_TEXT = st.text(st.characters(), max_size=30)
UNSEEN = "\ufeff\u200b\u200c\u200d\u2060\u00ad\u180e\ufe0f\u200e"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (" Straße\n\tNR  5 ", "STRASSE nr 5"),
        ("Où est le café", unicodedata.normalize("NFD", "Où est le café")),
        ("カフェ 123 はどこ", "ｶﾌｪ １２３ はどこ"),
        ("where is it", "\ufeffwhere\u00a0is\u2028it\u200b"),
        ("office", "o\ufb03ce"),
        ("soft hyphen", "so\u00adft hy\u200bphen"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("한국어", unicodedata.normalize("NFD", "한국어")),
    ],
)
def test_what_readers_take_for_the_same(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)
    assert query_id(one) == query_id(other)


@pytest.mark.parametrize(
    ("one", "other"), [("resume", "résumé"), ("a b", "ab"), ("R2", "R3"), ("は", "ば"), ("", "x")]
)
def test_what_they_tell_apart(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]), st.sampled_from(UNSEEN))
def test_any_text_has_one_form(text: str, form: str, unseen: str) -> None:
    expected = normalised(text)
    assert normalised(expected) == expected
    assert normalised(unicodedata.normalize(form, text)) == expected
    assert normalised(f" {unseen}\t{text}\u3000{unseen}") == expected


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
def test_words_of_any_text_are_those_of_its_normal_form(text: str) -> None:
    found = words(text)
    assert found == words(normalised(text))
    assert all(found)
    assert not any(character.isspace() for word in found for character in word)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="ascii")))
def test_plain_text_has_the_words_that_it_has_beside_other_text(text: str) -> None:
    assert words(text) == words(f"{text} é")[:-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't STOP 5 R2D2 snake_case", ["don", "t", "stop", "5", "r2d2", "snake_case"]),
        ("失眠的时候，记录。", ["失眠", "眠的", "的时", "时候", "记录"]),
        ("iPhone手机 猫", ["iphone", "手机", "猫"]),
        ("ｶﾌｪ はどこ", ["カフ", "フェ", "はど", "どこ"]),
        ("ภาษาไทย", ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย"]),
        ("고양이를 키워", ["고양", "양이", "이를", "키워"]),
        ("हिन्दी में लिखो", ["हिन्दी", "में", "लिखो"]),
        (unicodedata.normalize("NFD", "Öl für’s Café"), ["öl", "für", "s", "café"]),
        ("!? …", []),
    ],
)
def test_words_by_the_rules_of_their_script(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    long = [word for word in expected if word not in ("t", "5", "s")]
    assert words(text, shortest=2) == long
