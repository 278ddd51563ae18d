"""The documents of a release, and their embeddings."""

from rabtriever_core.data.dataset import Dataset, read_dataset
from rabtriever_core.index.stored_documents import StoredDocuments
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.store import check
from rabtriever_core.workspace import Workspace


def release_documents(workspace: Workspace, release: Release) -> tuple[Dataset, StoredDocuments]:
    """A release's validated data and the embeddings of their documents, in the same order.

    Raises:
        ReleaseError: a part is missing or damaged.
        ArtifactError: the embeddings are of other documents.
    """
    folders = check(workspace, release, ("validated_dataset", "document_embeddings"))
    dataset = read_dataset(folders["validated_dataset"], release.dataset)
    embeddings = StoredDocuments.open(folders["document_embeddings"])
    embeddings.check_of(dataset.documents)
    return dataset, embeddings
