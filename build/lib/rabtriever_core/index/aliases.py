"""The alias that says what is served: switched in one step, read back, old builds pruned."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.collection import own_builds, vector_params
from rabtriever_core.index.retry import with_retry

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

_BUILD_IT = "run `rabtriever run qdrant_collection`"


@dataclass(frozen=True)
class PhysicalCollection:
    """A build of this project, served or not."""

    name: str
    metadata: dict[str, Any]
    """Hashes of the artifacts that built it; once served, the release it is served as."""
    count: int
    dimension: int


def alias_target(client: "QdrantClient", alias: str) -> str | None:
    """The physical collection an alias points at; None when there is no such alias."""
    for entry in with_retry(client.get_aliases).aliases:
        if entry.alias_name == alias:
            return entry.collection_name
    return None


def switch_alias(client: "QdrantClient", alias: str, physical: str) -> str | None:
    """Point an alias at a collection in one request, and read it back.

    Returns:
        The collection it pointed at before; None for a new alias.

    Raises:
        IndexMismatchError: a collection has the alias's own name, the target does not exist, or
            the alias points elsewhere afterwards.
    """
    from qdrant_client import models

    names = {collection.name for collection in with_retry(client.get_collections).collections}
    if alias in names:
        raise IndexMismatchError(
            f"{alias!r} is the name of a collection in Qdrant, so it cannot be an alias: set "
            "index.collection to another name, or delete that collection"
        )
    if physical not in names:
        raise IndexMismatchError(f"no collection {physical} to point {alias!r} at: {_BUILD_IT}")
    previous = alias_target(client, alias)
    operations: list[models.AliasOperations] = []
    if previous is not None:
        operations.append(
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
        )
    operations.append(
        models.CreateAliasOperation(
            create_alias=models.CreateAlias(collection_name=physical, alias_name=alias)
        )
    )
    client.update_collection_aliases(change_aliases_operations=operations)
    actual = alias_target(client, alias)
    if actual != physical:
        raise IndexMismatchError(
            f"alias {alias!r} points at {actual} instead of {physical}: something else moved it "
            f"at the same time; {_BUILD_IT} again"
        )
    return previous


def prune(
    client: "QdrantClient", alias: str, keep: int, protected: Collection[str] = ()
) -> list[str]:
    """Drop the oldest physical collections of an alias beyond `keep`.

    The served one is always kept, and so are any that another alias points at and the protected
    ones. Age is the build number in the metadata, so clocks do not matter.

    Returns:
        Names of the dropped collections, oldest first.
    """
    kept = {entry.collection_name for entry in with_retry(client.get_aliases).aliases}
    kept |= {*protected}
    builds = own_builds(client, alias)
    by_age = sorted(builds, key=lambda name: (name in kept, builds[name]))
    dropped = [name for name in by_age[: max(0, len(by_age) - keep)] if name not in kept]
    for name in dropped:
        client.delete_collection(name)
    return dropped


def physical_collection(client: "QdrantClient", name: str) -> PhysicalCollection:
    """A collection by its own name.

    Raises:
        IndexMismatchError: there is none, or it is no collection of this project.
    """
    if not with_retry(lambda: client.collection_exists(name)):
        raise IndexMismatchError(f"no collection {name} in Qdrant: {_BUILD_IT}")
    info = with_retry(lambda: client.get_collection(name))
    params = vector_params(info)
    if params is None or not info.config.metadata:
        raise IndexMismatchError(
            f"collection {name} was not built by rabtriever: {_BUILD_IT}, or set index.collection "
            "to another name"
        )
    return PhysicalCollection(
        name=name,
        metadata=dict(info.config.metadata),
        count=client.count(name, exact=True).count,
        dimension=params.size,
    )


def check_built_by(built: PhysicalCollection, expected_hashes: Mapping[str, str]) -> None:
    """Refuse a collection that other artifacts built than the query tower's.

    Args:
        built: the collection.
        expected_hashes: metadata key (`teacher`, `student`, …) → hash here.

    Raises:
        IndexMismatchError: names the part and both hashes.
    """
    for part, expected in expected_hashes.items():
        actual = built.metadata.get(part)
        if actual != expected:
            raise IndexMismatchError(
                f"collection {built.name} was built by another {part} ({actual}) than the query "
                f"tower here ({expected}): {_BUILD_IT}"
            )
