"""Ask the served index one question: student in, ranked documents out."""

from rabtriever_core.artifacts import load_artifact
from rabtriever_core.index.aliases import check_served, served_collection
from rabtriever_core.index.connection import connect
from rabtriever_core.index.search import Hit, search
from rabtriever_core.workspace import Workspace


def ask(workspace: Workspace, text: str, k: int) -> list[Hit]:
    """The k documents that answer a query best, through the alias that applications use.

    Raises:
        ArtifactError: teacher or student is missing or damaged.
        IndexMismatchError: nothing is served, or it was built by another teacher or student.
        IndexUnavailableError: Qdrant cannot be opened.
    """
    from rabtriever_core.models.retriever import Rabtriever

    teacher, student = workspace.artifact("teacher"), workspace.artifact("student")
    made_by = {
        "teacher": load_artifact(teacher).hash,
        "student": load_artifact(student).hash,
    }
    with connect(workspace.settings.index, workspace.qdrant) as client:
        check_served(served_collection(client, workspace.alias), made_by)
        tower = Rabtriever.load(student, teacher, workspace.settings.runtime)
        return search(client, workspace.alias, tower.encode_queries([text]), k)[0]
