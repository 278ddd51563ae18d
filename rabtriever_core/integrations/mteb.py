"""mteb: the student as a model that its retrieval tasks can evaluate (extra `mteb`).

    import mteb
    from rabtriever_core.integrations.mteb import RabtrieverModel

    results = mteb.evaluate(RabtrieverModel.open("my-work"), mteb.get_tasks(["SciFact"]))

`encode` needs to know queries from documents: retrieval and reranking tasks say so, others do not.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ConfigError
from rabtriever_core.integrations import missing_extra
from rabtriever_core.integrations.served import open_served
from rabtriever_core.models.arrays import Floats
from rabtriever_core.workspace import Workspace

try:
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ScoringFunction
    from mteb.types import PromptType
except ImportError as error:
    raise missing_extra("mteb", error) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rabtriever_core.models.student import Student
    from rabtriever_core.models.text_encoder import TextPrompt


class RabtrieverModel(AbsEncoder):
    """Queries and documents as the student reads them; scored by the dot product, its margin.

    A document's title and text are read as in training ("Title: text"), where mteb's own wrappers
    put a space between them. Margins lack an offset of each query, which no ranking depends on.
    """

    mteb_model_meta: ModelMeta

    def __init__(self, student: "Student", *, name: str, revision: str) -> None:
        """Wrap a student.

        Args:
            student: which is not copied.
            name: `organization/model`, under which mteb keeps results.
            revision: what tells two trained ones of that name apart.
        """
        self.model = student
        self.mteb_model_meta = model_meta(
            name,
            revision,
            student.encoder.prompt,
            similarity_fn_name=ScoringFunction.DOT_PRODUCT,
            embed_dim=student.dimension,
        )

    @classmethod
    def open(cls, workspace: Workspace | Path | str | None = None) -> "RabtrieverModel":
        """The student of the release that is served.

        Args:
            workspace: see `Retriever.open`.

        Raises:
            ConfigError: there is no workspace.
            IndexMismatchError: nothing is served, or nothing that was released.
            IndexUnavailableError: Qdrant cannot be opened.
            ReleaseError: the release is not here, or not complete.
        """
        opened = open_served(workspace)
        release = opened.release
        name = f"rabtriever/{release.dataset}"
        return cls(opened.tower.student, name=name, revision=release.id)

    def encode(
        self,
        inputs: "Iterable[Mapping[str, Any]]",
        *,
        prompt_type: PromptType | None = None,
        batch_size: int = 32,
        **_: Any,
    ) -> Floats:
        """φ of queries, the vectors to store of documents: float32 [n, v].

        Args:
            inputs: batches as mteb's data loaders give them.
            prompt_type: which of the two they are.
            batch_size: texts read at once.

        Raises:
            ConfigError: it is not said which, as in tasks that are no retrieval.
        """
        if prompt_type is PromptType.query:
            queries = [str(text) for batch in inputs for text in batch["text"]]
            vectors: Floats = self.model.encode_queries(queries, batch_size)
            return vectors
        if prompt_type is PromptType.document:
            documents = [document for batch in inputs for document in batch_documents(batch)]
            stored: Floats = self.model.encode_documents(documents, batch_size)
            return stored
        raise ConfigError(
            "queries and documents are read in different ways, and this task tells neither from "
            "the other: Rabtriever can be evaluated on retrieval and reranking tasks"
        )


def model_meta(name: str, revision: str, prompt: "TextPrompt", **fields: Any) -> ModelMeta:
    """What mteb keeps of a model beside its results.

    Args:
        name: `organization/model`.
        revision: what tells two trained ones of that name apart.
        prompt: whose limits the longest text has.
        fields: further ones of `ModelMeta`.
    """
    longest = max(prompt.spec.max_document_tokens, prompt.spec.max_query_tokens)
    return ModelMeta.create_empty(
        {
            "name": name,
            "revision": revision,
            "max_tokens": float(longest),
            "framework": ["PyTorch"],
            "reference": "https://arxiv.org/abs/2604.23336",
            **fields,
        }
    )


def batch_documents(batch: "Mapping[str, Any]") -> list[Document]:
    """Title and text apart, where the corpus has titles; `text` holds both."""
    texts = batch.get("body", batch["text"])
    titles = batch.get("title") or [""] * len(texts)
    return [
        Document(str(number), str(text), str(title))
        for number, (text, title) in enumerate(zip(texts, titles, strict=True))
    ]
