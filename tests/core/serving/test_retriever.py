"""The client of applications."""

import pytest

from rabtriever_core.releases.promotion import promote
from tests.asking import ask
from tests.core.releases.conftest import Make


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
