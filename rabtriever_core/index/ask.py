"""Ask the served index one question: student in, ranked documents out."""

from rabtriever_core.artifacts import load_artifact
from rabtriever_core.index.aliases import check_served, served_collection
from rabtriever_core.index.connection import connect
from rabtriever_core.index.quantization import search_params
from rabtriever_core.index.query_tower import QueryTower
from rabtriever_core.index.search import Hit, search
from rabtriever_core.workspace import Workspace


def ask(workspace: Workspace, text: str, k: int) -> list[Hit]:
    """The k documents that answer a query best, through the alias that applications use.

    Raises:
        ArtifactError: teacher or student is missing or damaged.
        IndexMismatchError: nothing is served, or it was built by another teacher, student or
            gauge.
        IndexUnavailableError: Qdrant cannot be opened.
    """
    teacher, student = workspace.artifact("teacher"), workspace.artifact("student")
    made_by = {
        "teacher": load_artifact(teacher).hash,
        "student": load_artifact(student).hash,
    }
    index = workspace.settings.index
    with connect(index, workspace.qdrant) as client:
        served = served_collection(client, workspace.alias)
        check_served(served, made_by)
        # Its own copy of the gauge: the embeddings may already be of a next build.
        collection = workspace.artifact("qdrant_collection")
        tower = QueryTower.load(student, teacher, collection, index, workspace.settings.runtime)
        check_served(served, {"gauge": tower.gauge.fingerprint})
        # The collection that was checked, wherever the alias moves meanwhile.
        return search(client, served.name, tower.encode([text]), k, search_params(index))[0]
