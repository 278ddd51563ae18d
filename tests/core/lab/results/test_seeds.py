"""Mean, sd and averaged tests over seeds."""

import json
from pathlib import Path

import numpy as np
import pytest

from rabtriever_core.errors import ArtifactError
from rabtriever_core.evaluation.benchmark import PAIRS, TESTED_METRICS
from rabtriever_core.evaluation.results import Results
from rabtriever_core.evaluation.significance import paired_test
from rabtriever_core.lab.results.seeds import over_seeds
from tests.core.evaluation.reports import made_runs, write


@pytest.fixture
def runs(tmp_path: Path) -> list[Results]:
    return [write(tmp_path / str(seed), made_runs(seed), seed=seed) for seed in (1, 2, 3)]


def test_mean_and_sd_are_of_the_runs(runs: list[Results]) -> None:
    result = over_seeds(runs, permutations=200)
    assert result["seeds"] == [1, 2, 3]
    for split, content in result["splits"].items():
        for system, metrics in content["systems"].items():
            stated = [
                run.benchmark["splits"][split]["systems"][system]["metrics"]["MRR@10"]
                for run in runs
            ]
            found = metrics["MRR@10"]
            assert found["values"] == pytest.approx(stated, abs=1e-6)
            assert found["mean"] == pytest.approx(np.mean(stated), abs=1e-6)
            assert found["sd"] == pytest.approx(np.std(stated, ddof=1), abs=1e-5)
            assert found["interval"][0] <= found["mean"] <= found["interval"][1]
    assert result["splits"]["test"]["queries"] == 16


def test_tests_are_on_queries_averaged_over_seeds(runs: list[Results]) -> None:
    result = over_seeds(runs, permutations=500)
    rows = result["splits"]["test"]["comparisons"]
    assert [(row["a"], row["b"], row["metric"]) for row in rows] == [
        (a, b, metric) for metric in TESTED_METRICS for a, b in PAIRS
    ]
    row = next(r for r in rows if (r["b"], r["metric"]) == ("bi_encoder", "MRR@10"))
    averaged = {
        system: {
            query: float(np.mean([run.values("test", system)["MRR@10"][query] for run in runs]))
            for query in runs[0].queries["test"]
        }
        for system in ("student", "bi_encoder")
    }
    by_hand = paired_test(
        ("student", averaged["student"]),
        ("bi_encoder", averaged["bi_encoder"]),
        "MRR@10",
        permutations=500,
    )
    assert row["p_value"] == by_hand["p_value"]
    assert row["difference"] == pytest.approx(np.mean(row["difference_per_seed"]))
    corrected = [r for s in result["splits"].values() for r in s["comparisons"]]
    smallest = min(corrected, key=lambda r: r["p_value"])
    assert smallest["p_value_holm"] == pytest.approx(
        min(1.0, len(corrected) * smallest["p_value"])
    ), "all splits are one family"


def test_order_of_the_runs_does_not_matter(runs: list[Results]) -> None:
    one, other = over_seeds(runs, permutations=200), over_seeds(runs[::-1], permutations=200)
    for split in one["splits"]:
        for a, b in zip(
            one["splits"][split]["comparisons"], other["splits"][split]["comparisons"], strict=True
        ):
            assert a["p_value"] == pytest.approx(b["p_value"])


def test_what_cannot_be_averaged_is_refused(runs: list[Results], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="at least two"):
        over_seeds(runs[:1])
    with pytest.raises(ArtifactError, match="has seed 1, and so has"):
        over_seeds([runs[0], write(tmp_path / "same", made_runs(9), seed=1)])
    with pytest.raises(ArtifactError, match="does not say its seed"):
        over_seeds([runs[0], write(tmp_path / "silent", made_runs(9))])
    fewer = made_runs(9)
    del fewer["test_2"]
    with pytest.raises(ArtifactError, match="different splits: test_2"):
        over_seeds([runs[0], write(tmp_path / "splits", fewer, seed=9)])
    other = write(tmp_path / "queries", made_runs(9), seed=9)
    rows = (other.folder / "queries.jsonl").read_text().splitlines()
    (other.folder / "queries.jsonl").write_text("\n".join(rows[:-1]))
    with pytest.raises(ArtifactError, match="different queries"):
        over_seeds([runs[0], Results.read(other.folder)])


def test_a_system_of_one_run_only_is_refused(runs: list[Results], tmp_path: Path) -> None:
    path = runs[1].folder / "benchmark.json"
    content = json.loads(path.read_text())
    for split in content["splits"].values():
        del split["systems"]["bm25"]
    path.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="different systems: bm25"):
        over_seeds([runs[0], Results.read(runs[1].folder)])
