"""Stored results give the numbers they were made from, and hold no text."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabtriever_core.errors import ArtifactError
from rabtriever_core.evaluation.metrics import METRICS, mean_values, per_query
from rabtriever_core.evaluation.results import Results
from rabtriever_core.lab.results.seeds import over_seeds
from rabtriever_core.lab.results.stored import StoredResults, _ranking, store
from tests.core.evaluation.reports import DATASET, made_runs, write

FACTS = {"command": "rabtriever run all", "machine": {"cpu": "x", "cores": 2, "memory_gib": 8.0}}


@pytest.fixture
def reports(tmp_path: Path) -> list[Results]:
    return [write(tmp_path / str(seed), made_runs(seed), seed=seed) for seed in (1, 2, 3)]


def test_stored_values_are_the_originals(reports: list[Results], tmp_path: Path) -> None:
    for report in reports:
        stored = StoredResults.read(store(report, tmp_path / "stored", FACTS))
        for split in ("test", "test_2"):
            for system in report.systems:
                assert stored.values(split, system) == report.values(split, system)
    kept = sorted(
        p.relative_to(tmp_path / "stored").as_posix() for p in tmp_path.glob("stored/**/*")
    )
    assert kept[:3] == ["queries.json", "seed-1", "seed-1/benchmark.json"]


def test_seeds_are_averaged_as_from_the_workspaces(reports: list[Results], tmp_path: Path) -> None:
    stored = [StoredResults.read(store(r, tmp_path / "stored", FACTS)) for r in reports]
    assert over_seeds(stored, permutations=200) == over_seeds(reports, permutations=200)


def test_no_text_of_the_data_is_stored(reports: list[Results], tmp_path: Path) -> None:
    store(reports[0], tmp_path / "stored", FACTS)
    everything = "".join(p.read_text() for p in tmp_path.glob("stored/**/*.json"))
    for text in (*DATASET.queries.values(), *(d.text for d in DATASET.documents)):
        assert text not in everything
    assert "Title" not in everything
    assert '"d01"' not in everything, "documents are not named"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 10), min_size=1, max_size=4).filter(
        lambda ranks: len(set(r for r in ranks if r)) == len([r for r in ranks if r])
    ),
    st.data(),
)
def test_ranks_are_all_that_metrics_depend_on(ranks: list[int], data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.integers(1, 3), min_size=len(ranks), max_size=len(ranks)))
    names = [f"doc{i}" for i in range(len(ranks))]
    others = iter([f"filler{i}" for i in range(10)])
    by_rank = {rank: name for rank, name in zip(ranks, names, strict=True) if rank}
    run = {by_rank.get(rank) or next(others): -float(rank) for rank in range(1, 11)}
    whole = mean_values(per_query({"q": dict(zip(names, labels, strict=True))}, {"q": run}))
    small = mean_values(
        per_query(
            {"q": {f"right-{i}": label for i, label in enumerate(labels)}}, {"q": _ranking(ranks)}
        )
    )
    assert [small[m] for m in METRICS] == pytest.approx([whole[m] for m in METRICS])


def test_what_does_not_fit_is_refused(reports: list[Results], tmp_path: Path) -> None:
    folder = tmp_path / "stored"
    seed = store(reports[0], folder, FACTS)
    fewer = {"test": made_runs(9)["test"]}
    with pytest.raises(ArtifactError, match="other queries or judgements"):
        store(write(tmp_path / "fewer", fewer, seed=9), folder, FACTS)
    with pytest.raises(ArtifactError, match="does not say its seed"):
        store(write(tmp_path / "silent", made_runs(9)), folder, FACTS)
    ranks = json.loads((seed / "ranks.json").read_text())
    swapped = " ".join(np.roll(ranks["test"]["bm25"].split(), 1)) + " 1"
    (seed / "ranks.json").write_text(
        json.dumps(ranks | {"test": ranks["test"] | {"bm25": swapped}})
    )
    with pytest.raises(ArtifactError, match="bm25 on test has ranks of other queries"):
        StoredResults.read(seed)
    ranks["test"]["student"] = " ".join("0" for _ in ranks["test"]["student"].split())
    (seed / "ranks.json").write_text(json.dumps(ranks))
    with pytest.raises(ArtifactError, match="of different runs are mixed"):
        StoredResults.read(seed).values("test", "student")
