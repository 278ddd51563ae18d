"""What changed since an asset was materialized last, for its page and for the run's log."""

import logging
from collections.abc import Mapping
from typing import Any

import dagster as dg

from dagster_project.defs.presentation import Metadata, artifact_metadata, table
from dagster_project.defs.resources import Recorded

logger = logging.getLogger(__name__)

_LOGGED = 3
"""Changed figures that the log names; the page has them all."""
_TELLING = ("hash", "reused", "release", "commit")


def result(recorded: Recorded, extra: Metadata | None = None) -> "dg.MaterializeResult[None]":
    """The materialization of a stage, with what is worth knowing of every artifact."""
    return dg.MaterializeResult(
        metadata=with_changes(artifact_metadata(recorded) | (extra or {})),
        data_version=dg.DataVersion(recorded.data_version),
    )


def with_changes(metadata: Metadata) -> Metadata:
    """The metadata of the asset that is being materialized, with what changed since the last time.

    Figures are numbers under the same name each time, so that the UI draws them over time.
    """
    context = dg.AssetExecutionContext.get()
    partition = context.partition_key if context.has_partition_key else None
    last = last_materialization(context.instance, context.asset_key, partition)
    return changed_since(last, metadata, context.asset_key)


def changed_since(
    last: dg.EventLogRecord | None, metadata: Metadata, asset: dg.AssetKey
) -> Metadata:
    """The metadata of an asset with what changed since it was materialized last."""
    materialization = last.asset_materialization if last is not None else None
    if materialization is None:
        first = dg.MetadataValue.md("Materialized for the first time here.")
        return metadata | {"since last time": first}
    before = materialization.metadata
    rows = [
        (name, f"{old:.6g}", f"{new:.6g}", f"{new - old:+.4g}")
        for name, new in _figures(metadata).items()
        if (old := _figures(before).get(name)) is not None and old != new
    ]
    figures = [row for row in rows if row[0] != "seconds"]
    if figures:
        named = "; ".join(
            f"{name} {old} → {new} ({by})" for name, old, new, by in figures[:_LOGGED]
        )
        more = f"; {len(figures) - _LOGGED} more figures" if len(figures) > _LOGGED else ""
        logger.info("%s: %s%s", asset.to_user_string(), named, more)
    rows += [
        (name, str(before[name].value), str(metadata[name].value), "")
        for name in _TELLING
        if name in metadata and name in before and before[name].value != metadata[name].value
    ]
    changes = table(("what", "last time", "now", "change"), rows)
    told = changes if rows else dg.MetadataValue.md("Nothing changed.")
    return metadata | {"since last time": told}


def last_materialization(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str | None
) -> dg.EventLogRecord | None:
    """The asset's last materialization, of the same workspace."""
    wanted = dg.AssetRecordsFilter(asset, asset_partitions=[partition] if partition else None)
    records = instance.fetch_materializations(wanted, limit=1).records
    return records[0] if records else None


def _figures(metadata: "Mapping[str, dg.MetadataValue[Any]]") -> dict[str, float]:
    numbers = (dg.FloatMetadataValue, dg.IntMetadataValue)
    return {
        name: float(value.value)
        for name, value in metadata.items()
        if isinstance(value, numbers) and value.value is not None
    }
