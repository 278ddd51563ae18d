"""A release says where it came from, down to the raw rows."""

import shutil

from rabtriever_core.releases.history import decisions, quality_figure
from rabtriever_core.releases.lineage import lineage
from rabtriever_core.releases.promotion import promote, rollback
from rabtriever_core.releases.store import part_folder
from rabtriever_core.stages import STAGES
from tests.core.releases.conftest import Make


def test_every_part_leads_to_the_raw_data(make: Make) -> None:
    workspace = make()
    release = promote(workspace, by="ana").release
    links = {link.part: link for link in lineage(workspace, release)}
    assert set(links) == {stage.name for stage in STAGES} | {"data"}
    assert {name: link.hash for name, link in links.items()} == release.parts
    for start in links:
        part, path = start, [start]
        while links[part].parents:
            part = links[part].parents[0]
            path.append(part)
            assert len(path) < 20
        assert part == "data", path
    assert links["qdrant_collection"].rows == "24 documents"


def test_a_part_that_is_not_here_keeps_its_hash(make: Make) -> None:
    workspace = make()
    release = promote(workspace, by="ana").release
    shutil.rmtree(part_folder(workspace, release.parts["teacher"]))
    links = {link.part: link for link in lineage(workspace, release)}
    assert links["teacher"].hash == release.parts["teacher"]
    assert links["teacher"].rows == "its record is not on this machine"
    assert links["student"].parents


def test_a_part_of_a_stage_that_is_no_more_is_shown(make: Make) -> None:
    """Until 6ce070c a stage `baselines` was among the parts."""
    workspace = make()
    release = promote(workspace, by="ana").release
    before = release.model_copy(update={"parts": release.parts | {"baselines": "ab" * 16}})
    links = {link.part: link for link in lineage(workspace, before)}
    assert links["baselines"].hash == "ab" * 16
    assert set(links) == {*release.parts, "baselines", "data"}


def test_decisions_are_in_order_and_drawn(make: Make) -> None:
    workspace = make()
    first = promote(workspace, by="ana").release.id
    refused = promote(make(wrong=(11, 12, 13, 14)), by="ana").release.id
    better = promote(make(salt=1), by="ana").release.id
    rollback(workspace, first, by="ana", reason="complaints")
    found = decisions(workspace)
    assert [(d.event.release, d.serves) for d in found] == [
        (first, True), (refused, False), (better, True), (first, True)
    ]  # fmt: skip
    assert found[1].quality["test"] < found[0].quality["test"] == 1.0
    (axes,) = quality_figure(found).axes
    step, served, hollow = axes.lines[:3]
    assert list(step.get_xdata()) == list(served.get_xdata()) == [1, 3, 4]
    assert list(hollow.get_ydata()) == [found[1].quality["test"]]
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["0001", "0002 refused", "0003", "0001 rollback"]
