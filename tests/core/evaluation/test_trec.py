"""TREC run files: measured as trec_eval would, and any ids come back as they went out."""

from pathlib import Path

import ir_measures
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rabtriever_core.errors import DatasetError
from rabtriever_core.evaluation.metrics import aggregate, ranking
from rabtriever_core.evaluation.trec import read_trec_run, write_trec_run

_ids = st.text(min_size=1, max_size=6)
_runs = st.dictionaries(
    _ids,
    st.dictionaries(_ids, st.floats(-1e6, 1e6), min_size=1, max_size=6),
    min_size=1,
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(run=_runs)
def test_any_run_comes_back_or_is_refused(run: dict[str, dict[str, float]], tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    ids = {*run, *(document for scores in run.values() for document in scores)}
    try:
        write_trec_run(path, run, "ours")
    except DatasetError:
        assert any(id_.split() != [id_] for id_ in ids)
        return
    back = read_trec_run(path)
    assert {query: ranking(scores) for query, scores in back.items()} == {
        query: ranking(scores) for query, scores in run.items()
    }


def test_ties_are_broken_as_trec_eval_does(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    rows = [("q", document, 1.0) for document in ("d1", "d2", "d3")] + [("q", "d0", 0.5)]
    path.write_text("".join(f"{q} Q0 {d} 1 {score} x\n" for q, d, score in rows))
    qrels = {"q": {"d2": 1, "d0": 1}}
    ours = aggregate(qrels, read_trec_run(path))
    trec = ir_measures.pytrec_eval.calc_aggregate(
        [ir_measures.nDCG @ 10], qrels, ir_measures.read_trec_run(str(path))
    )
    assert ours["nDCG@10"] == pytest.approx(trec[ir_measures.nDCG @ 10])
    assert ranking(read_trec_run(path)["q"]) == ["d3", "d2", "d1", "d0"]
