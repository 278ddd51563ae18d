"""What the person who started a failed run is told."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.failures import as_failure
from dagster_project.last_failure import reasons
from rabtriever_core.errors import DatasetError

EVER = datetime(2000, 1, 1, tzinfo=UTC)


@dg.asset
def broken() -> None:
    with as_failure():
        raise DatasetError("corpus.jsonl, line 2: not valid JSON")


@dg.asset
def buggy() -> None:
    raise ZeroDivisionError("nothing to divide by")


@dg.asset
def whole() -> None: ...


@dg.asset(deps=[broken])
def downstream() -> None: ...


@dg.asset_check(asset=whole, blocking=True)
def gate() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="7 dangling ids")


@pytest.fixture
def instance():
    with dg.instance_for_test() as instance:
        yield instance


def test_expected_error_is_its_message_alone(instance) -> None:
    dg.materialize([broken, downstream], instance=instance, raise_on_error=False)
    assert list(reasons(instance, EVER)) == ["broken: corpus.jsonl, line 2: not valid JSON"]


def test_unexpected_error_names_its_cause(instance) -> None:
    dg.materialize([buggy], instance=instance, raise_on_error=False)
    assert list(reasons(instance, EVER)) == ["buggy: ZeroDivisionError: nothing to divide by"]


def test_failed_check_is_named_with_what_it_found(instance) -> None:
    dg.materialize([whole, gate], instance=instance, raise_on_error=False)
    assert next(reasons(instance, EVER)) == "whole, check gate: 7 dangling ids"


def test_nothing_to_say_of_a_run_that_went_well(instance) -> None:
    dg.materialize([broken], instance=instance, raise_on_error=False)
    dg.materialize([whole], instance=instance)
    assert list(reasons(instance, EVER)) == []


def test_an_older_failure_is_not_the_reason_of_a_launch_that_began_no_run(instance) -> None:
    begun = datetime.now(UTC)
    dg.materialize([broken], instance=instance, raise_on_error=False)
    assert list(reasons(instance, begun.replace(microsecond=0)))
    (record,) = instance.get_run_records()
    assert list(reasons(instance, record.create_timestamp))
    assert list(reasons(instance, datetime.now(UTC) + timedelta(seconds=2))) == []


def test_the_makefile_says_when_it_started(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dagster_project.last_failure"]
    root = Path(__file__).parents[2]
    assert '|| python -m dagster_project.last_failure "$$since"' in (root / "Makefile").read_text()
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        dg.materialize([broken], instance=instance, raise_on_error=False)
    said = [
        subprocess.run(
            [*command, str(int(time.time()) + later)],
            cwd=root,
            env=os.environ | {"DAGSTER_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        for later in (-60, 60)
    ]
    assert [finished.returncode for finished in said] == [1, 1]
    assert said[0].stderr == "error: broken: corpus.jsonl, line 2: not valid JSON\n"
    assert said[1].stderr == ""
