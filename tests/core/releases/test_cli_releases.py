"""`rabtriever releases`: tables and JSON, exit codes, one-line errors."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.releases.difference import difference
from rabtriever_core.releases.log import read_log
from rabtriever_core.releases.promotion import promote
from rabtriever_core.releases.record import read_releases, write_record
from rabtriever_core.workspace import Workspace
from tests.core.releases.conftest import Make

Releases = Callable[..., Any]


@pytest.fixture
def workspace(make: Make) -> Workspace:
    """Two releases and a refused one; settings in a file, as the command line reads them."""
    first = promote(make(), by="ana")
    assert first.decision == "promoted"
    promote(make(salt=1, calibration={"method": "temperature"}), by="ben")
    workspace = make(salt=2, wrong=[11, 12])
    assert promote(workspace, by="nightly").decision == "refused"
    values = {"index": {"probe_queries": 2, "query_tower": "torch"}}
    (workspace.root / "params.yaml").write_text(yaml.safe_dump(values))
    return workspace


@pytest.fixture
def releases(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Releases:
    monkeypatch.setenv("COLUMNS", "140")

    def invoke(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["releases", *arguments, "-w", str(workspace.root)])
        assert result.exit_code == code, result.output
        return result

    return invoke


def test_list_and_show(releases: Releases) -> None:
    lines = releases("list").output.splitlines()
    assert lines[0].split() == ["release", "state", "made", "data", "MRR@10", "by"]
    assert [line.split()[0] for line in lines[1:]] == ["0001", "*", "0003"] or len(lines) == 4
    assert ["was served" in lines[1], "served" in lines[2], "refused" in lines[3]] == [True] * 3
    assert lines[2].startswith("*")
    assert "test 1.000" in lines[1]
    rows = json.loads(releases("list", "--json").output)
    assert [row["served"] for row in rows] == [False, True, False]
    shown = releases("show", "3").output
    assert "FAILED  not_worse: test MRR@10" in shown
    assert "refused by nightly" in shown
    record = json.loads(releases("show", rows[1]["id"], "--json").output)
    assert record["parts"]["teacher"].endswith(".dir")
    assert "no release '9'" in releases("show", "9", code=2).stderr


def test_columns_stay_apart(make: Make, releases: Releases, workspace: Workspace) -> None:
    (record,) = [r for r in read_releases(workspace).values() if r.number == 2]
    split = "test_unseen_combinations"
    write_record(workspace, record.model_copy(update={"metrics": {split: record.metrics["test"]}}))
    lines = releases("show", "2").output.splitlines()
    rows = [line for line in lines if line.startswith("  ") and record.id not in line]
    (measured,) = [row.split() for row in rows if split in row]
    assert measured[:2] == [split, "MRR@10:"]
    parts = lines[lines.index("parts") + 1 :][: len(record.parts)]
    assert [row.split() for row in parts] == [[name, md5] for name, md5 in record.parts.items()]
    assert len({row.rindex("  ") for row in parts}) == 1


def test_a_rollback_to_what_is_served_does_nothing(
    releases: Releases, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    before = read_log(workspace)
    with caplog.at_level(logging.INFO):
        assert "served: release 0002" in releases("rollback", "2", "--reason", "x").output
    assert "is served already" in caplog.text
    assert read_log(workspace) == before
    json.loads(releases("rollback", "2", "--json").stdout)
    assert read_log(workspace) == before


def test_diff(releases: Releases, workspace: Workspace) -> None:
    text = releases("diff", "1", "2").output
    assert "calibration.method: platt → temperature" in text
    assert "data: no difference" in text
    assert "test student MRR@10: 1.0000 → 1.0000 (+0.0000)" in text
    found = json.loads(releases("diff", "2", "1", "--json").output)
    assert found["settings"]["calibration.method"] == ["temperature", "platt"]
    assert {"teacher", "student", "calibration"} <= set(found["parts"])
    assert "data" not in found["parts"]


def test_a_release_does_not_differ_from_itself(make: Make) -> None:
    release = promote(make(), by="ana").release
    found = difference(release, release)
    assert not any(found[section] for section in ("data", "parts", "settings"))
    assert {pair[0] == pair[1] for pair in found["metrics"].values()} == {True}


def test_promote_rollback_restore_prune(releases: Releases) -> None:
    refused = releases("promote", code=1)
    assert "is refused, what was served stays: not_worse" in refused.stderr
    assert "FAILED  not_worse" in refused.output
    need = releases("promote", "3", "--override", "--by", "ana", code=2).stderr
    assert "--override needs --by NAME and --reason TEXT" in need
    flags = ("--override", "--by", "ana", "--reason", "recall")
    assert "promoted: release 0003" in releases("promote", "3", *flags).output
    assert "served: release 0002" in releases("rollback", "--reason", "complaints").output
    assert "served: release 0002" in releases("restore").output
    assert "retired: none" in releases("prune").output
    rows = json.loads(releases("list", "--json").output)
    assert [event["action"] for event in rows[2]["log"]] == ["refused", "refused", "override"]
    assert rows[2]["override"]["by"] == "ana"


def test_what_mlflow_is_not_told_stops_nothing(
    releases: Releases,
    workspace: Workspace,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert "tracking.mlflow is null" in releases("track", code=2).stderr
    values = {"index": {"probe_queries": 2}, "tracking": {"mlflow": "http://127.0.0.1:9"}}
    (workspace.root / "params.yaml").write_text(yaml.safe_dump(values))
    assert "MLflow at http://127.0.0.1:9" in releases("track", code=2).stderr
    with caplog.at_level(logging.WARNING):
        served = json.loads(releases("rollback", "--json").stdout)
    assert served["release"].startswith("0001-")
    assert "MLflow was not told, all else is done" in caplog.text
