"""What the person who started a failed run is told."""

import dagster as dg
import pytest

from dagster_project.failures import as_failure
from dagster_project.last_failure import reasons
from rabtriever_core.errors import DatasetError


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
    assert list(reasons(instance)) == ["broken: corpus.jsonl, line 2: not valid JSON"]


def test_unexpected_error_names_its_cause(instance) -> None:
    dg.materialize([buggy], instance=instance, raise_on_error=False)
    assert list(reasons(instance)) == ["buggy: ZeroDivisionError: nothing to divide by"]


def test_failed_check_is_named_with_what_it_found(instance) -> None:
    dg.materialize([whole, gate], instance=instance, raise_on_error=False)
    assert next(reasons(instance)) == "whole, check gate: 7 dangling ids"


def test_nothing_to_say_of_a_run_that_went_well(instance) -> None:
    dg.materialize([broken], instance=instance, raise_on_error=False)
    dg.materialize([whole], instance=instance)
    assert list(reasons(instance)) == []
