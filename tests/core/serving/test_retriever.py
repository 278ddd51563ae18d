"""The client of applications."""

from dataclasses import replace

import pytest
from qdrant_client import models

from rabtriever_core.errors import FilterError
from rabtriever_core.index.connection import connect
from rabtriever_core.releases.promotion import promote
from rabtriever_core.releases.serving import open_release, served_release
from tests.asking import ask
from tests.core.releases.conftest import Make
from tests.core.releases.life import life_dataset


def test_hits_carry_calibrated_probabilities(make: Make) -> None:
    workspace = make()
    promote(workspace, by="ana")
    answer = ask(workspace, "tell 7", 5)
    assert [hit.margin for hit in answer.hits] == sorted(h.margin for h in answer.hits)[::-1]
    for hit in answer.hits:
        expected = float(answer.calibration.probabilities(hit.margin))
        assert hit.probability == pytest.approx(expected)
    best = answer.hits[0].probability
    assert ask(workspace, "tell 7", 2, min_probability=best).hits[0].fits is True
    assert not any(hit.fits for hit in ask(workspace, "tell 7", 5, min_probability=1.0).hits)


def test_each_query_of_a_batch_has_its_own_demands(make: Make) -> None:
    dataset = life_dataset()
    told = tuple(
        replace(document, metadata={"even": n % 2 == 0, "n": n})
        for n, document in enumerate(dataset.documents)
    )
    workspace = make(dataset=replace(dataset, documents=told))
    promote(workspace, by="ana")
    texts, depths, least = ["tell 7", "tell 8", "tell 9"], [2, 5, 1], [None, 0.0, 1.0]
    filters = [None, {"even": True}, models.Filter(must_not=[])]
    with connect(workspace.settings.index, workspace.qdrant) as client:
        opened = open_release(workspace, served_release(client, workspace))
        (best,) = opened.search(client, texts[:1], 24)
        found = opened.search(client, texts, depths, least, filters)
        assert [len(hits) for hits in found] == depths
        assert found[0] == best[:2]
        assert found[0][0].metadata == {"even": False, "n": 7}
        assert all(hit.metadata["even"] and hit.fits for hit in found[1])
        assert not found[2][0].fits
        demands = zip(texts, depths, least, filters, strict=True)
        assert [opened.search(client, [t], k, p, f)[0] for t, k, p, f in demands] == found
        for hits in opened.search(client, texts, 24, None, {"n": {"lt": 5}}):
            assert sorted(hit.document_id for hit in hits) == [f"d{n}" for n in range(5)]
        with pytest.raises(ValueError, match="2 values of min_probability for 3 queries"):
            opened.search(client, texts, 5, [0.5, 0.5])


def test_a_filter_may_leave_nothing(make: Make) -> None:
    workspace = make()
    promote(workspace, by="ana")
    two = ask(workspace, "tell 7", 5, filter={"document_id": ["d7", "d3"]}).hits
    assert [hit.document_id for hit in two] == ["d7", "d3"]
    assert ask(workspace, "tell 7", 5, filter={"lang": "de"}).hits == []
    with pytest.raises(FilterError, match="'lang'"):
        ask(workspace, "tell 7", 5, filter={"lang": {"like": "d"}})


def test_settings_of_another_build_do_not_reach_the_served_one(make: Make) -> None:
    """The tower is searched as it was built, whatever params.yaml says by now."""
    workspace = make()
    promote(workspace, by="ana")
    before = ask(workspace, "tell 7", 5).hits
    changed = make(index={"gauge": {"method": "pca", "dimensions": 3}})
    assert ask(changed, "tell 7", 5).hits == before


def test_a_short_gauge_is_served_and_restored(make: Make) -> None:
    workspace = make(index={"gauge": {"method": "pca", "dimensions": 9}}, gates={"max_loss": 1})
    release = promote(workspace, by="ana").release
    assert release.dimension < 16
    assert ask(workspace, "tell 7", 24).release.id == release.id
