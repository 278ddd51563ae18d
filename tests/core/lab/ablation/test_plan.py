"""Plans: the shipped ones are sound, and errors name the bad key."""

from pathlib import Path

import pytest

from rabtriever_core.errors import ConfigError
from rabtriever_core.lab.ablation.plan import plan_names, read_plan
from rabtriever_core.lab.ablation.runs import planned_runs
from rabtriever_core.lab.ablation.sources import open_sources
from tests.core.lab.ablation.tiny import PLAN, write_data


@pytest.mark.parametrize("name", plan_names())
def test_shipped_plans_name_settings_that_exist(name: str, tmp_path: Path) -> None:
    sources = open_sources([write_data(tmp_path / "small")], tmp_path / "work")
    plan = read_plan(name)
    runs = planned_runs(plan, sources, [17, 18], (), tmp_path / "out")
    assert len(runs) == 2 * len(plan.variants)
    assert len({run.path for run in runs}) == len(runs)
    of_a_seed = {run.identity for run in runs if run.seed == 17}
    # `ours` holds rows that say what the defaults are; none else may repeat another.
    assert len(of_a_seed) == len(plan.variants)


def test_the_paper_plan_is_the_papers(tmp_path: Path) -> None:
    sources = open_sources([write_data(tmp_path / "small")], tmp_path / "work")
    plan = read_plan("paper")
    student = {
        run.variant: run.settings.student
        for run in planned_runs(plan, sources, [17], ("student.anchor_weight=3",), tmp_path)
    }
    full = student["full"]
    weights = {n: v for n, v in full.model_dump().items() if n.endswith("_weight") and v}
    assert weights == {"mse_weight": 1.0, "reverse_kl_weight": 0.25}, "the plan wins over --set"
    assert (full.predictor, full.skip, full.layers) == ("gated", False, 2)
    assert student["forward-kl"].forward_kl_weight == 0.25
    assert student["forward-kl"].reverse_kl_weight == 0
    assert student["ours"].anchor_weight == 3, "without the base, settings are those given"
    assert student["ours"].skip
    assert plan.variants["no-product"].printed == {"PsyQA": 2.0, "SayCan": 9.6}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (PLAN.replace("title", "tilte"), "tilte"),
        (PLAN.replace("label: full", "lable: full"), "variants.full.lable"),
        (PLAN.replace("no-mse:", "No MSE:"), "'No MSE' must be of lower-case letters"),
        (PLAN.replace("[student, bi_encoder]", "[students]"), "systems.0"),
        (PLAN.replace("[student, bi_encoder]", "[teacher]"), "set queries and documents"),
        (PLAN + "metric: MRR\n", "metric = 'MRR'"),
        (PLAN + "x: {name: weight}\n", "full, no-mse: without x"),
        ("- a list", "must be a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_errors_name_the_bad_key(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_plan(str(path))
    assert named in str(caught.value)
    assert "bad" in str(caught.value)


def test_there_is_no_such_plan() -> None:
    with pytest.raises(ConfigError, match="name one of depth, loss-weight, ours, paper, teacher, "):
        read_plan("papre")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("student.mse_wieght=0", "variant no-mse.*mse_wieght"),
        ("student.mse_weight=-1", "variant no-mse.*student.mse_weight = -1"),
        ("teacher.anchor_weight=0", "variant no-mse: it changes teacher.*set the plan's `stage`"),
    ],
)
def test_a_variants_settings_are_checked_before_anything_runs(
    tmp_path: Path, change: str, named: str
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.replace("student.mse_weight=0", change))
    sources = open_sources([write_data(tmp_path / "small")], tmp_path / "work")
    with pytest.raises(ConfigError, match=named):
        planned_runs(read_plan(str(path)), sources, [1], (), tmp_path)


def test_sources_and_seeds_that_clash_are_refused(tmp_path: Path) -> None:
    one, two = write_data(tmp_path / "a" / "small"), write_data(tmp_path / "b" / "small")
    with pytest.raises(ConfigError, match="more than one data set is named small"):
        open_sources([one, two], tmp_path / "work")
    sources = open_sources([one], tmp_path / "work")
    with pytest.raises(ConfigError, match="--seeds: 1 given more than once"):
        planned_runs(read_plan("depth"), sources, [1, 1], (), tmp_path)
    with pytest.raises(ConfigError, match="no settings"):
        open_sources([one], tmp_path / "work", tmp_path / "absent.yaml")
