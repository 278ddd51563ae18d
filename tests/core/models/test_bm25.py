"""BM25 finds what shares words, and copes with what shares none."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from rabtriever_core.config import DatasetConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.models.bm25 import Bm25
from rabtriever_core.models.languages import stemmer, stop_words

DOCUMENTS = [
    Document("1", "Walk to the fridge and open its door.", "Go to the fridge"),
    Document("2", "Put the apple on the table.", "Put down an apple"),
    Document("3", "Name the feeling behind what was said.", "Reflection of feelings"),
]


def test_finds_the_obvious_document() -> None:
    scores = Bm25.fit(DOCUMENTS).scores(["open the fridge", "which feeling", "apples"])
    assert scores.shape == (3, 3)
    assert scores.dtype == np.float32
    # "apples" and "feeling" match by their stems.
    assert scores.argmax(axis=1).tolist() == [0, 2, 1]


@pytest.mark.parametrize("query", ["", "   ", "the of and", "zebra", "!?"])
def test_query_without_known_words_scores_zero(query: str) -> None:
    scores = Bm25.fit(DOCUMENTS).scores([query, "fridge"])
    assert not scores[0].any()
    assert scores[1].argmax() == 0


def test_no_queries() -> None:
    assert Bm25.fit(DOCUMENTS).scores([]).shape == (0, 3)


def test_repeatable_and_independent_of_the_other_queries() -> None:
    first = Bm25.fit(DOCUMENTS).scores(["fridge door", "apple"])
    again = Bm25.fit(DOCUMENTS)
    assert np.array_equal(first[1:], again.scores(["apple"]))
    assert np.array_equal(first, again.scores(["fridge door", "apple"]))


def test_documents_without_words() -> None:
    empty = Document("4", "", "")
    assert Bm25.fit([*DOCUMENTS, empty]).scores(["apple"])[0, 3] == 0
    assert not Bm25.fit([empty, Document("5", "the")]).scores(["apple"]).any()
    with pytest.raises(ValueError, match="no documents"):
        Bm25.fit([])


CHINESE = [
    Document("sleep", "失眠的时候先记录睡眠时间，再调整作息。"),
    Document("exam", "考试之前练习深呼吸，把复习计划写下来。"),
    Document("rent", "付不起房租时，列出每月的开支。"),
]
JAPANESE = [
    Document("coffee", "コーヒーメーカーを掃除して、豆を注文する。", "カフェコーナー"),
    Document("printer", "紙づまりを直して、トナーを補充する。", "プリンター"),
    Document("heating", "暖房の空気を抜いて、温度を設定する。", "暖房"),
]


@pytest.mark.parametrize(
    ("documents", "queries"),
    [
        (CHINESE, ["我最近失眠让我很难受", "一想到考试心里乱糟糟的", "这个月房租怎么办才好"]),
        (JAPANESE, ["ｺｰﾋｰがまずい", "プリンターが動かない", "部屋の暖房が効かない"]),
        (
            [Document("a", "เครื่องพิมพ์เสีย"), Document("b", "กาแฟหมดแล้ว"), Document("c", "ประตูล็อก")],
            ["ฉันต้องซ่อมเครื่องพิมพ์", "ไม่มีกาแฟ", "เปิดประตูไม่ได้"],
        ),
        (
            [
                Document("a", "प्रिंटर खराब है"),
                Document("b", "कॉफ़ी की मशीन"),
                Document("c", "दरवाज़ा बंद है"),
            ],
            ["मेरा प्रिंटर", "कॉफ़ी चाहिए", "दरवाज़ा नहीं खुलता"],
        ),
        (
            [
                Document("a", "고양이 사료를 주문하세요"),
                Document("b", "문이 잠겼어요"),
                Document("c", "난방을 켜세요"),
            ],
            ["고양이가 배고파요", "문이 안 열려요", "난방이 안 돼요"],
        ),
    ],
)
def test_scripts_without_spaces_or_with_vowel_signs(
    documents: list[Document], queries: list[str]
) -> None:
    scores = Bm25.fit(documents).scores(queries)
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]
    assert (scores.max(axis=1) > 0).all()
    decomposed = [unicodedata.normalize("NFD", query) for query in queries]
    assert np.array_equal(Bm25.fit(documents).scores(decomposed), scores)


@pytest.mark.parametrize(
    ("language", "texts", "query"),
    [
        ("en", ["the printers of the office", "a coffee for the guest"], "printer"),
        ("de", ["die Häuser und ihre Gärten", "der Kaffee ist für die Gäste"], "Haus"),
        ("fr", ["les imprimantes de la mairie", "le café est pour nous"], "imprimante"),
        ("none", ["打印机坏了", "咖啡没有了"], "打印"),
    ],
)
def test_the_language_is_told_by_the_documents(language: str, texts: list[str], query: str) -> None:
    documents = [Document(str(n), text) for n, text in enumerate(texts)]
    found = Bm25.fit(documents)
    assert found.language == language
    assert found.scores([query])[0, 0] > 0 == found.scores([query])[0, 1]


def test_a_language_that_is_given_is_taken() -> None:
    documents = [Document("1", "the printers"), Document("2", "die Drucker")]
    as_english, as_it_is = (Bm25.fit(documents, name) for name in ("en", "none"))
    assert as_english.scores(["printer", "the"]).tolist() != [[0, 0], [0, 0]]
    assert not as_english.scores(["the"]).any()
    assert as_it_is.scores(["the"])[0, 0] > 0
    assert not as_it_is.scores(["printer"]).any()


@pytest.mark.parametrize("language", get_args(DatasetConfig.model_fields["language"].annotation))
def test_every_language_of_the_setting_has_stemmer_and_stop_words(language: str) -> None:
    assert bool(stop_words(language)) == (language not in ("auto", "none"))
    assert stemmer(language)(["x"]) == ["x"]


def test_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    Bm25.fit(DOCUMENTS).scores(["apple"])
    assert capfd.readouterr() == ("", "")


def test_leaves_jax_alone(tmp_path: Path) -> None:
    # bm25s would start it where it is installed, and jax would take most of a GPU's memory.
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text("raise SystemExit('jax was loaded')\n")
    program = (
        "from rabtriever_core.data.dataset import Document\n"
        "from rabtriever_core.models.bm25 import Bm25\n"
        "print(Bm25.fit([Document('1', 'open the fridge')]).scores(['fridge']) > 0)\n"
        "import jax\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == "[[ True]]", ran.stderr
    assert ran.stderr.strip() == "jax was loaded", "who asks for it afterwards has it"
