"""Running rules with Great Expectations: one suite and one checkpoint per table."""

from typing import TYPE_CHECKING, Any

from rabtriever_core.data.rules import EXAMPLES, Rule, RuleResult, reasons
from rabtriever_core.errors import DatasetError
from rabtriever_core.workspace.encodable import encodable

if TYPE_CHECKING:
    from pandas import DataFrame

# Every broken row is needed, not a sample: quarantine works on them.
_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "return_unexpected_index_query": False,
    "partial_unexpected_count": 20,
}


class ExpectationRun:
    """One validation run: checks tables in memory and keeps nothing of it."""

    def __init__(self, run_name: str) -> None:
        import great_expectations as gx
        from great_expectations.data_context.types.base import (
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )

        self._run_name = run_name
        self._context: Any = gx.get_context(
            mode="ephemeral",
            project_config=DataContextConfig(
                store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
                analytics_enabled=False,
                progress_bars=ProgressBarsConfig(globally=False),
            ),
        )
        self._source = self._context.data_sources.add_pandas("dataset")

    def check(self, name: str, table: "DataFrame", rules: list[Rule]) -> list[RuleResult]:
        """Check rules on a table (column `place` names its rows), in the rules' order.

        Raises:
            DatasetError: Great Expectations could not compute a rule.
        """
        results = self._run(name, table, rules)
        position_of = {_shown(place): n for n, place in enumerate(table["place"])}
        return [_result(rule, name, table, results[rule.name], position_of) for rule in rules]

    def _run(self, name: str, table: "DataFrame", rules: list[Rule]) -> dict[str, Any]:
        import great_expectations as gx
        from great_expectations.core.run_identifier import RunIdentifier

        suite = gx.ExpectationSuite(
            name=name,
            expectations=[
                rule.expectation(
                    **rule.arguments,
                    description=rule.sentence,
                    severity="critical" if rule.severity == "error" else "warning",
                    meta={"rule": rule.name},
                )
                for rule in rules
            ],
        )
        context = self._context
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(
                name=name,
                data=self._source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(
                    "all rows"
                ),
                suite=context.suites.add(suite),
            )
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=name, validation_definitions=[definition], result_format=_RESULT_FORMAT
            )
        )
        outcome = checkpoint.run(
            batch_parameters={"dataframe": _shown_table(table, rules)},
            run_id=RunIdentifier(run_name=self._run_name),
        )
        (result,) = outcome.run_results.values()
        return {r.expectation_config.meta["rule"]: r for r in result.results}


def _result(
    rule: Rule, name: str, table: "DataFrame", result: Any, position_of: dict[str, int]
) -> RuleResult:
    info = result.exception_info
    if info and info.get("raised_exception") is not False:
        raise DatasetError(f"rule {rule.name} could not be checked on {name}: {info}")
    found: list[dict[str, Any]] = result.result.get("unexpected_index_list", [])
    broken = tuple(sorted(position_of[entry["place"]] for entry in found))
    if rule.reason:
        first = broken[:EXAMPLES]
        why = reasons(rule, table, first)
        examples = [f"{table['place'].iloc[n]}: {text}" for n, text in zip(first, why, strict=True)]
    elif result.success:
        examples = []
    else:
        examples = [f"found {result.result['observed_value']}"]
    return RuleResult(
        rule, name, bool(result.success), len(table), broken, tuple(map(str, examples))
    )


def _shown_table(table: "DataFrame", rules: list[Rule]) -> "DataFrame":
    """Only what the rules look at: Great Expectations hashes every cell it is given."""
    names = sorted({column for rule in rules for column in rule.columns})
    shown = table[names].copy()
    for column in names:
        if shown[column].dtype == object:
            shown[column] = shown[column].map(_shown, na_action="ignore")
    shown.index = table["place"].map(_shown).rename("place")
    return shown


def _shown(value: Any) -> Any:
    """Great Expectations writes UTF-8."""
    return encodable(value) if isinstance(value, str) else value
