"""The team's canary queries: `canaries.jsonl`, what must and what must not be found."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rabtriever_core.data.dataset import read_jsonl
from rabtriever_core.data.ids import id_problem
from rabtriever_core.errors import ConfigError
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from rabtriever_core.releases.serving import OpenRelease

FILE = "canaries.jsonl"


class Canary(BaseModel):
    """A query with documents that must, and others that must not, be among its best."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str = Field(min_length=1)
    must: tuple[str, ...] = ()
    """Document ids; all of them."""
    must_not: tuple[str, ...] = ()
    """Document ids; none of them."""
    within: int | None = Field(None, ge=1)
    """Places looked at; `gates.canary_depth` when not given."""

    @field_validator("must", "must_not")
    @classmethod
    def _of_a_data_set(cls, ids: tuple[str, ...]) -> tuple[str, ...]:
        for id_ in ids:
            if problem := id_problem(id_):
                raise ValueError(f"no data set can hold the id {id_!r}: it {problem}")
        return ids


def canary_path(workspace: Workspace) -> Path:
    """Where the team keeps them; the file need not exist."""
    return workspace.root / FILE


def read_canaries(workspace: Workspace) -> list[Canary]:
    """The team's canaries; none without a file.

    Raises:
        ConfigError: a line is no canary; names file and line.
        DatasetError: a line is no JSON object.
    """
    path = canary_path(workspace)
    canaries = []
    for number, row in read_jsonl(path) if path.is_file() else ():
        try:
            canary = Canary.model_validate(row)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc']))} = {e.get('input')!r:.80}: {e['msg']}"
                for e in error.errors()
            )
            raise ConfigError(f"{path}, line {number}: {problems}") from None
        if not canary.must and not canary.must_not:
            raise ConfigError(f"{path}, line {number}: neither must nor must_not names a document")
        canaries.append(canary)
    return canaries


def failing(
    client: "QdrantClient", opened: "OpenRelease", canaries: Sequence[Canary], depth: int
) -> list[str]:
    """Ask the canaries of a release; one line per canary that does not get what it must.

    Args:
        client: Qdrant.
        opened: the release, served or not.
        canaries: what to ask.
        depth: places looked at where a canary does not say.
    """
    if not canaries:
        return []
    widest = max(canary.within or depth for canary in canaries)
    rankings = opened.search(client, [canary.query for canary in canaries], widest)
    problems = []
    for canary, hits in zip(canaries, rankings, strict=True):
        within = canary.within or depth
        found = [hit.document_id for hit in hits[:within]]
        absent = [id_ for id_ in canary.must if id_ not in found]
        wrong = [id_ for id_ in canary.must_not if id_ in found]
        said = [f"without {', '.join(absent)}"] if absent else []
        said += [f"with {', '.join(wrong)}"] if wrong else []
        if said:
            problems.append(f"{canary.query[:80]!r} {' and '.join(said)} within {within}")
    return problems
