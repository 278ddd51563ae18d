"""Model Context Protocol: search as a tool of agents (extra `mcp`).

    rabtriever mcp -w my-work
    rabtriever mcp --url http://localhost:8000

speaks the protocol over standard input and output, as agents start it; what it logs goes to
standard error.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from rabtriever_core.errors import RabtrieverError
from rabtriever_core.integrations import missing_extra
from rabtriever_core.serving.answers import Rerank
from rabtriever_core.serving.any_retriever import AnyRetriever
from rabtriever_core.serving.retriever import Retriever

try:
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.types import ToolAnnotations
except ImportError as error:
    raise missing_extra("mcp", error) from error

MAX_QUERY_CHARACTERS, MAX_HITS = 20_000, 100


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class FoundDocument(_Told):
    """One document of an answer."""

    document_id: str
    title: str
    text: str
    metadata: dict[str, Any]
    probability: float = Field(description="That this document is right for the query, 0 to 1.")
    fits: bool | None = Field(
        description="Whether it is probable enough to be an answer; null where that is unknown."
    )
    margin: float = Field(description="The model's score; comparable over queries.")


class Found(_Told):
    """An answer."""

    release: str = Field(description="Id of the release that answered.")
    documents: list[FoundDocument] = Field(description="Best first.")


class ServedRelease(_Told):
    """What answers."""

    id: str
    dataset: str
    documents: int = Field(description="How many there are.")
    created: str
    metrics: dict[str, dict[str, dict[str, float | None]]] = Field(
        description="Of each test split and system, e.g. nDCG@10 of the student."
    )


_READ_ONLY = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


def mcp_server(retriever: AnyRetriever) -> MCPServer:
    """A server with the tools `search` and `release`.

    Args:
        retriever: who answers; whoever opened it closes it.
    """
    server: MCPServer = MCPServer(
        "rabtriever",
        instructions=(
            "Finds documents that are right for a situation, question or task although they share "
            "no words with it. Describe the situation in whole sentences, as a person would; do "
            "not reduce it to keywords. Where no document fits, nothing in the collection does."
        ),
        log_level="WARNING",
    )

    @server.tool(annotations=_READ_ONLY)
    def search(
        query: Annotated[
            str,
            Field(
                min_length=1,
                max_length=MAX_QUERY_CHARACTERS,
                pattern=r"\S",
                description="The situation, question or task in natural language.",
            ),
        ],
        k: Annotated[int, Field(ge=1, le=MAX_HITS, description="Documents.")] = 5,
        filter: Annotated[
            dict[str, Any] | None,
            Field(
                description='Conditions on metadata, all of which must hold: {"lang": "de", '
                '"year": {"gte": 2020}, "kind": ["a", "b"], "state": {"not": "old"}}.'
            ),
        ] = None,
        min_probability: Annotated[
            float | None,
            Field(ge=0, le=1, description="Of a document that fits; the fitted one by default."),
        ] = None,
        rerank: Annotated[
            Rerank,
            Field(description='The large model orders the first ones: slower; "auto" if unsure.'),
        ] = False,
    ) -> Found:
        """Find the documents that fit a situation, question or task best, with probabilities."""
        try:
            answer = retriever.search(
                query, k, filter=filter, min_probability=min_probability, rerank=rerank
            )
        except (RabtrieverError, ValueError) as error:
            raise ToolError(str(error)) from error
        documents = [
            FoundDocument(
                document_id=hit.document_id,
                title=hit.title,
                text=hit.text,
                metadata=hit.metadata,
                probability=hit.probability,
                fits=hit.fits,
                margin=hit.margin,
            )
            for hit in answer
        ]
        return Found(release=answer.release.id, documents=documents)

    @server.tool(annotations=_READ_ONLY)
    def release() -> ServedRelease:
        """Which release of the collection answers, how many documents it has, how good it is."""
        try:
            served = retriever.release
        except RabtrieverError as error:
            raise ToolError(str(error)) from error
        return ServedRelease(
            id=served.id,
            dataset=served.dataset,
            documents=served.count,
            created=served.created.isoformat(),
            metrics=served.metrics,
        )

    return server


def run(workspace: Path | str | None = None, url: str | None = None) -> None:
    """Speak over standard input and output until that is closed.

    Args:
        workspace: whose release answers.
        url: of a query service to ask instead.
    """
    with Retriever.connect(url) if url else Retriever.open(workspace) as retriever:
        mcp_server(retriever).run("stdio")


if __name__ == "__main__":
    try:
        run(*sys.argv[1:2])
    except RabtrieverError as problem:
        sys.exit(f"error: {problem}")
