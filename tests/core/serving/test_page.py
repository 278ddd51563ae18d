"""The search page, as a person uses it."""

import json
import sys
import types
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from rabtriever_core.config import Settings
from rabtriever_core.data.dataset import Document
from rabtriever_core.data.feedback import FEEDBACK
from rabtriever_core.releases import store
from rabtriever_core.releases.promotion import promote
from rabtriever_core.releases.serving import OpenRelease
from rabtriever_core.serving import examples
from rabtriever_core.serving.keys import ApiKeys
from rabtriever_core.workspace import Workspace
from tests.core import standin_teacher
from tests.core.releases.conftest import quick_dvc
from tests.core.releases.life import Reader, Student, build, life_dataset
from tests.core.serving.browsing import DESKTOP, PHONE, chromium, copied, opened, serving

EVIL = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'


def teacher_margins(_: OpenRelease, query: str, documents: list[Document]) -> list[float]:
    """The stand-in has no teacher; this one prefers what the student put last."""
    return [float(place) for place in range(len(documents))]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    fake: Any = types.ModuleType("rabtriever_core.models.student")
    states: Any = types.ModuleType("rabtriever_core.models.states")
    fake.Student, states.DocumentReader = Student, Reader
    with pytest.MonkeyPatch.context() as patch:
        for module in (fake, states):
            patch.setitem(sys.modules, module.__name__, module)
        patch.setattr(store, "run_dvc", quick_dvc)
        standin_teacher.install(
            patch, lambda folder: Student(int((folder / "weights").read_text()), ()).margin
        )
        patch.setattr(OpenRelease, "teacher_margins", teacher_margins)
        patch.setattr(examples, "EXAMPLES", {})  # the stand-in reads no other texts than its own
        dataset = life_dataset()
        documents = list(dataset.documents)
        # Nobody's right document, so that the release is as good as without it.
        documents[23] = Document(f"{EVIL}id", EVIL, f"{EVIL}title", {EVIL: [EVIL], "lang": "de"})
        documents[12] = replace(documents[12], metadata={"lang": "de", "year": 2020})
        dataset = replace(dataset, documents=tuple(documents))
        root = tmp_path_factory.mktemp("page") / "work"
        for salt in (0, 1):
            made = build(root, salt=salt, dataset=dataset, calibration={"precision": 0.8})
            promote(made, by="ana")
        yield made


@pytest.fixture(scope="module")
def origin(workspace: Workspace) -> Iterator[str]:
    with serving(workspace) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, origin: str) -> Iterator[Page]:
    with opened(browser, origin) as page:
        page.goto(f"{origin}/")
        yield page


def stored(workspace: Workspace) -> list[dict[str, Any]]:
    path = workspace.dataset_folder / FEEDBACK
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def served(page: Page) -> str:
    return page.locator("#served").inner_text().removeprefix("release ")


def search(page: Page, text: str) -> None:
    page.get_by_label("Your question or situation").fill(text)
    page.get_by_role("button", name="Search").click()


def options(page: Page) -> None:
    page.get_by_text("More options").click()


def first_is(page: Page, document: str, column: int = 0) -> None:
    """Waits for it: until an answer comes, the one before is shown."""
    expect(page.locator(".answer").nth(column).locator(".id").first).to_have_text(document)


def titles(page: Page, column: int = 0) -> list[str]:
    expect(page.locator(".answer").nth(column).locator(".hit").first).to_be_visible()
    return page.locator(".answer").nth(column).locator(".facts .id").all_inner_texts()


def test_type_results_judge_row(page: Page, workspace: Workspace) -> None:
    search(page, "tell 12")
    first_is(page, "d12")
    assert len(titles(page)) == 5
    first = page.locator(".hit").first
    expect(first).to_contain_text("tale 12")
    expect(first.locator(".number")).to_contain_text("%")
    expect(first).to_contain_text("margin 1.00")
    expect(first).to_contain_text("year 2020")
    expect(page.get_by_role("status").first).to_contain_text("5 documents in")
    first.get_by_role("button", name="Fits", exact=True).click()
    expect(first.locator(".said")).to_have_text("Saved: it fits")
    expect(first.get_by_role("button", name="Fits", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    first.get_by_role("button", name="Fits", exact=True).click()
    expect(first.locator(".said")).to_have_text("Saved before: it fits")
    first.get_by_role("button", name="Does not fit").click()
    expect(first.locator(".said")).to_have_text("Saved: it does not fit")
    rows = [row for row in stored(workspace) if row["query"] == "tell 12"]
    assert [(row["document_id"], row["label"]) for row in rows] == [("d12", 1), ("d12", 0)]
    assert rows[0]["release"] == served(page)


def test_texts_of_documents_stay_texts(page: Page, workspace: Workspace) -> None:
    page.goto(f"{page.url}?q=tell+7&k=50&beside=bm25")
    assert f"{EVIL}id" in titles(page)
    hit = page.locator(".answer").first.locator(".hit", has_text="onerror").first
    assert hit.locator("h3").inner_text() == f"{EVIL}title"
    assert hit.locator(".text").inner_text() == EVIL
    assert EVIL in hit.locator(".facts").inner_text()
    assert page.locator("main img, main script").count() == 0
    hit.get_by_role("button", name="Does not fit").click()
    expect(hit.locator(".said")).to_have_text("Saved: it does not fit")
    assert stored(workspace)[-1]["document_id"] == f"{EVIL}id"
    page.goto(f"{page.url.split('?')[0]}?q=1+{EVIL}&where={EVIL}&release={EVIL}&beside={EVIL}")
    expect(page.locator("#notice")).to_be_visible()
    assert "owned" not in page.title().replace(EVIL[:40], "")
    assert page.locator("main img, main script").count() == 0


def test_everything_works_without_a_mouse(page: Page, workspace: Workspace) -> None:
    page.keyboard.type("tell 15")
    page.keyboard.press("Enter")
    first_is(page, "d15")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".hit").nth(0)).to_be_focused()
    page.keyboard.press("u")
    expect(page.locator(".hit").nth(0).locator(".said")).to_have_text("Saved: it fits")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("k")
    expect(page.locator(".hit").nth(1)).to_be_focused()
    page.keyboard.press("d")
    expect(page.locator(".hit").nth(1).locator(".said")).to_have_text("Saved: it does not fit")
    rows = [row for row in stored(workspace) if row["query"] == "tell 15"]
    assert [row["label"] for row in rows] == [1, 0]
    assert rows[0]["document_id"] == "d15" != rows[1]["document_id"]
    assert {row["release"] for row in rows} == {served(page)}
    page.keyboard.press("/")
    expect(page.get_by_label("Your question or situation")).to_be_focused()
    page.keyboard.type("tell 9")  # instead of what was there
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("u d j k /")  # letters like all others
    page.keyboard.press("Enter")
    first_is(page, "d9")
    assert page.get_by_label("Your question or situation").input_value() == "tell 9\nu d j k /"


def test_an_address_is_a_search_and_back_goes_back(page: Page) -> None:
    search(page, "tell 12")
    titles(page)
    options(page)
    page.get_by_label("Results").select_option("3")
    expect(page.locator(".hit")).to_have_count(3)
    page.get_by_label("Filter", exact=True).fill("lang = de")
    page.keyboard.press("Enter")
    expect(page.locator(".hit")).to_have_count(2)
    page.get_by_label("Filter", exact=True).fill("year >= 2020")
    page.keyboard.press("Enter")
    expect(page.locator(".hit")).to_have_count(1)
    address = page.url
    asked = parse_qs(urlsplit(address).query)
    assert asked == {"q": ["tell 12"], "k": ["3"], "where": ["lang = de", "year >= 2020"]}
    page.go_back()
    expect(page.locator(".hit")).to_have_count(2)
    page.goto(address)
    assert titles(page) == ["d12"]
    expect(page.locator("#changed")).to_have_text("(1 changed)")
    assert page.title() == "tell 12 · Rabtriever demo"
    page.get_by_role("button", name="Remove lang = de").click()
    page.get_by_role("button", name="Remove year >= 2020").click()
    expect(page.locator(".hit")).to_have_count(3)
    options(page)
    page.get_by_label("Filter", exact=True).fill("year >= soon")
    page.keyboard.press("Enter")
    expect(page.locator("#filter-problem")).to_have_text("year >= takes a number, not “soon”")


@pytest.mark.parametrize(
    ("conditions", "filter_"),
    [
        (["lang = de"], {"lang": "de"}),
        (["lang=de, en", "year>=2020", "year < 2025"],
         {"lang": ["de", "en"], "year": {"gte": 2020, "lt": 2025}}),
        (["lang != de"], {"lang": {"not": "de"}}),
        (["a = true", "b = null", 'c = "1, 2"', "d = -1.5", "größe = x y"],
         {"a": True, "b": None, "c": "1, 2", "d": -1.5, "größe": "x y"}),
        (["lang"], "“lang” is no condition: write field = value, or year >= 2020"),
        (["lang ="], "“lang =” needs a value"),
        (["lang = a", "lang = b"],
         "there is a condition on lang already: list its values, lang = a, b"),
    ],
)  # fmt: skip
def test_conditions_as_people_type_them(
    page: Page, conditions: list[str], filter_: dict[str, Any] | str
) -> None:
    tried = "c => { try { return filterOf(c) } catch (error) { return error.message } }"
    assert page.evaluate(tried, conditions) == filter_


def test_the_teachers_opinion_stands_beside_the_students(page: Page) -> None:
    search(page, "tell 12")
    order = titles(page)
    options(page)
    page.get_by_label("Results").select_option("20")
    page.locator(".switch").click()
    first = page.locator(".hit").first
    expect(first).to_contain_text("close reading’s margin 19.00")
    last = page.locator(".hit").last
    assert last.locator(".id").inner_text() == order[0]  # what the student put first
    assert last.locator(".rank").inner_text() == "20"
    expect(last.locator(".first")).to_contain_text(", 1st")
    page.get_by_label("Results").select_option("3")
    expect(page.locator(".hit")).to_have_count(3)
    expect(page.locator(".hit").first.locator(".first")).to_contain_text(", 20th")


def test_systems_stand_side_by_side(page: Page, workspace: Workspace) -> None:
    search(page, "tell 12")
    titles(page)
    options(page)
    page.get_by_label("Compare with").select_option("bm25")
    expect(page.locator(".answer")).to_have_count(2)
    first_is(page, "d12", column=1)
    expect(page.locator(".answer").nth(1)).to_contain_text("BM25 score")
    expect(page.locator(".hit").first).to_contain_text("1st in the other list")
    page.locator(".hit").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".answer").nth(1).locator(".hit").first).to_be_focused()
    page.keyboard.press("u")
    said = page.locator(".said", has_text="it fits")
    expect(said).to_have_count(2)  # the same document in both lists
    releases = page.locator("#release").locator("option").all()
    (before,) = [
        value for value in (option.get_attribute("value") or "" for option in releases)
        if value.startswith("0001-")
    ]  # fmt: skip
    page.locator("#release").select_option(before)
    expect(page.locator(".answer h2").first).to_have_text(f"Version {before}")
    page.locator(".hit").first.get_by_role("button", name="Does not fit").click()
    expect(page.locator(".said").first).to_have_text("Saved: it does not fit")
    assert stored(workspace)[-1]["release"] == before


def test_what_goes_wrong_is_said_and_tried_again(browser: Browser, origin: str) -> None:
    with opened(browser, origin, errors=("status of 404", "status of 503")) as page:
        page.goto(f"{origin}/?q=tell+7&release=0099-aaaaaa")
        expect(page.locator("#notice")).to_contain_text("There is no release 0099-aaaaaa.")
        expect(page.locator("#again")).to_be_hidden()
        options(page)
        page.locator("#release").select_option("served")
        first_is(page, "d7")
        expect(page.locator("#notice")).to_be_hidden()
        busy = {"detail": "too many queries wait: ask again later"}
        page.route(
            "**/v1/search",
            lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json=busy),
            times=1,
        )
        search(page, "tell 8")
        expect(page.locator("#notice")).to_contain_text("Trying again in 1 s.")
        first_is(page, "d8")
        expect(page.locator("#notice")).to_be_hidden()
        page.evaluate(
            "{const now = fetch; fetch = async (...asked) => {"
            "await new Promise((go) => setTimeout(go, 600)); return now(...asked)}}"
        )
        search(page, "tell 9")
        expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
        expect(page.get_by_role("status").first).to_have_text("Searching…")
        expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
        first_is(page, "d9")


def test_ids_and_margins_are_shown_with_the_options(page: Page) -> None:
    search(page, "tell 12")
    first_is(page, "d12")
    expect(page.locator(".hit .id").first).to_be_hidden()
    options(page)
    expect(page.locator(".hit .id").first).to_be_visible()
    expect(page.locator(".hit").first.get_by_text("margin 1.00")).to_be_visible()


def test_nothing_that_fits_is_said_above_the_nearest(page: Page) -> None:
    search(page, "tell 500")
    expect(page.locator(".nothing")).to_contain_text("Nothing here fits.")
    expect(page.locator(".hit.unfit")).to_have_count(5)
    expect(page.get_by_role("status").first).to_contain_text("Nothing here fits.")
    options(page)
    page.get_by_label("Filter", exact=True).fill("lang = fr")
    page.keyboard.press("Enter")
    expect(page.locator(".nothing")).to_have_text("No document passes your filter.")


def test_a_key_is_asked_for_kept_in_the_tab_and_refused_when_wrong(
    browser: Browser, workspace: Workspace, tmp_path: Path
) -> None:
    guarded = copied(workspace, tmp_path / "guarded")
    key = ApiKeys(guarded).create("ana")
    with (
        serving(guarded) as origin,
        opened(browser, origin, errors=("status of 401",)) as page,
    ):
        page.goto(f"{origin}/?q=tell+7")
        expect(page.get_by_label("API key")).to_be_focused()
        page.keyboard.type("rbt_wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-problem")).to_contain_text("was refused")
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        first_is(page, "d7")
        page.locator(".hit").first.get_by_role("button", name="Fits", exact=True).click()
        expect(page.locator(".said").first).to_have_text("Saved: it fits")
        assert stored(guarded)[-1]["by"] == "ana"
        assert key not in page.url
        page.reload()
        first_is(page, "d7")
        assert page.evaluate("localStorage.length") == 0


# Address, what is there once it is drawn, and whether every scheme meets every width there.
VIEWS = {
    "empty": ("", "#examples li", True),
    "options": ("?q=tell+12", ".hit", False),
    "results": ("?q=tell+12&where=lang+%3D+de", ".hit", True),
    "teacher": ("?q=tell+12&teacher=1", ".teacher", False),
    "beside": ("?q=tell+12&beside=bm25", ".columns .hit", True),
    "nothing": ("?q=tell+500", ".nothing", False),
    "error": ("?q=tell+7&release=0099-aaaaaa", "#notice", False),
}


@pytest.mark.parametrize("name", VIEWS)
def test_everyone_can_use_it(browser: Browser, origin: str, name: str) -> None:
    address, drawn, both = VIEWS[name]
    with opened(browser, origin, errors=("status of 404",)) as page:
        page.goto(f"{origin}/{address}")
        expect(page.locator(drawn).first).to_be_visible()
        if name == "options":
            options(page)
        if name == "results":
            page.locator(".verdict").first.click()
            expect(page.locator(".said").first).to_contain_text("Saved")
        for viewport, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
            page.set_viewport_size(viewport)  # type: ignore[arg-type]
            for shown in ("light", "dark") if both else (scheme,):
                page.emulate_media(color_scheme=shown)  # type: ignore[arg-type]
                found = Axe().run(page)
                assert found.violations_count == 0, found.generate_report()
            # Nothing sticks out on either side.
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= viewport["width"]


def test_the_interface_is_documented_without_anybody_elses_network(
    browser: Browser, origin: str
) -> None:
    with opened(browser, origin) as page:
        page.goto(f"{origin}/docs")
        expect(page.locator("#operations-default-search_v1_search_post")).to_be_visible()
        expect(page.locator(".errors-wrapper")).to_have_count(0)


def test_files_of_the_page_are_those_and_no_others(origin: str) -> None:
    with urllib.request.urlopen(f"{origin}/") as answer:  # noqa: S310 - loopback
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy
    for path in (
        "page/../app.py",
        "page/%2e%2e%2fapp.py",
        "page/none.js",
        "docs/favicon.png",
        "redoc",
    ):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{origin}/{path}")  # noqa: S310 - loopback
        assert error.value.code == 404


def test_the_page_is_its_owners(browser: Browser, workspace: Workspace, tmp_path: Path) -> None:
    """Title, placeholder and examples are settings; markup in them stays words."""
    words = {
        "title": "Help & <b>",
        "placeholder": 'Say "what"',
        "examples": ["tell 3", "<i>tell 4"],
    }
    copy = copied(workspace, tmp_path / "own")
    page_settings = {"serving": {"page": words}}
    owned = Workspace(
        copy.root, Settings.model_validate(copy.settings.model_dump() | page_settings)
    )
    with serving(owned) as origin, opened(browser, origin) as page:
        page.goto(f"{origin}/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Help & <b>")
        assert page.title() == "Help & <b>"
        expect(page.get_by_placeholder('Say "what"')).to_be_focused()
        expect(page.locator("#examples li")).to_have_text(["tell 3", "<i>tell 4"])
        page.get_by_role("button", name="tell 3").press("Enter")
        first_is(page, "d3")
        assert page.title() == "tell 3 · Help & <b>"
        expect(page.locator("#examples")).to_be_hidden()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_the_first_answer_is_seen_without_scrolling(
    browser: Browser, origin: str, viewport: dict[str, int]
) -> None:
    with opened(browser, origin) as page:
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        page.goto(f"{origin}/?q=tell+12")
        box = page.locator(".hit").nth(1).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < viewport["height"]


def test_closely_read_probabilities_decide_whether_nothing_fits(page: Page) -> None:
    """A page that says “nothing fits” above a document with 90 % contradicts itself."""
    said = """answer => {
      const hit = (fits, first, close) => ({fits, probability: first, teacher_probability: close});
      const hits = answer.map((each) => hit(...each));
      return isNothing({hits, reranked: hits[0].teacher_probability !== null});
    }"""
    assert page.evaluate(said, [[False, 0.1, None], [False, 0.05, None]]) is True
    assert page.evaluate(said, [[False, 0.1, 0.2], [False, 0.05, 0.3]]) is True
    assert page.evaluate(said, [[False, 0.1, 0.2], [False, 0.05, 0.9]]) is False
    assert page.evaluate(said, [[True, 0.9, None], [False, 0.05, None]]) is False
