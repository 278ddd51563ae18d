"""sentence-transformers: the student as a `SentenceTransformer` (extra `sentence-transformers`).

    from rabtriever_core.integrations.sentence_transformers import RabtrieverEncoder

    model = RabtrieverEncoder.open("my-work")
    margins = model.similarity(model.encode_query(queries), model.encode_document(documents))

Queries and documents are read in different ways: say which, by `encode_query`, `encode_document`,
`task=…` or `prompt_name=…`. A document is its text, or "Title: text" where it has a title.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ConfigError
from rabtriever_core.integrations import missing_extra
from rabtriever_core.integrations.served import open_served
from rabtriever_core.workspace import Workspace

try:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import InputModule, Router
except ImportError as error:
    raise missing_extra("sentence-transformers", error) from error

if TYPE_CHECKING:
    from rabtriever_core.models.student import Student

Side = Literal["query", "document"]
SIDES: tuple[Side, ...] = ("query", "document")


class RabtrieverEncoder(SentenceTransformer):
    """The student's own vectors: their dot product is the margin, up to an offset of each query.

    The offset shifts all documents of a query alike, and is zero for the paper's predictor; the
    index and its coordinates are not part of it. It is read from a release, and not saved:
    `rabtriever_core.integrations.export_release` writes what needs no workspace.
    """

    def __init__(self, student: "Student") -> None:
        """Wrap a student, which is not copied."""
        router = Router(
            {side: [_SideModule(student, side)] for side in SIDES},
            # Neither side is a default: a text read as the wrong one ranks wrongly, silently.
            allow_empty_key=False,
        )
        super().__init__(
            modules=[router],
            device=str(student.encoder.device),
            similarity_fn_name="dot",
            prompts=dict.fromkeys(SIDES, ""),
        )

    @classmethod
    def open(cls, workspace: Workspace | Path | str | None = None) -> "RabtrieverEncoder":
        """The student of the release that is served.

        Args:
            workspace: see `Retriever.open`.

        Raises:
            ConfigError: there is no workspace.
            IndexMismatchError: nothing is served, or nothing that was released.
            IndexUnavailableError: Qdrant cannot be opened.
            ReleaseError: the release is not here, or not complete.
        """
        return cls(open_served(workspace).tower.student)

    def encode(self, inputs: Any, prompt_name: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """As in sentence-transformers; `prompt_name` ("query", "document") also says how to read.

        Raises:
            ConfigError: it is not said which of the two the texts are.
        """
        task = kwargs.pop("task", None) or prompt_name
        if task not in SIDES:
            raise ConfigError(
                f"queries and documents are read in different ways, and {task!r} says neither: use "
                "encode_query, encode_document, or prompt_name='query' or 'document'"
            )
        return super().encode(inputs, prompt_name, *args, task=task, **kwargs)

    def save(self, *_: Any, **__: Any) -> NoReturn:
        """Refused.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "a release is kept by its workspace: `rabtriever releases export` writes its student "
            "as a folder that sentence-transformers opens by itself"
        )

    save_pretrained: Any = save
    push_to_hub: Any = save


class _SideModule(InputModule):
    """Texts of one side → token ids → its vectors, as `Student` makes them."""

    def __init__(self, student: "Student", side: Side) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.student, self.side = student, side
        self.encoder = student.query_encoder if side == "query" else student.encoder
        # Registered, so that the encoder can be moved to another device.
        self.model, self.predictor = self.encoder.model, student.predictor
        self.register_buffer("direction", student.direction)
        self.tokenizer = self.encoder.prompt.tokenizer

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **_: Any
    ) -> dict[str, torch.Tensor]:
        """Token ids [n, l] and their numbers [n]."""
        texts = [f"{prompt or ''}{text}" for text in inputs]
        reader = self.encoder.prompt
        if self.side == "query":
            rows = reader.alone(reader.queries(texts))
        else:
            rows = reader.documents([Document(str(n), text) for n, text in enumerate(texts)])
        ids, lengths = self.encoder.pad(rows)
        return {"input_ids": ids, "lengths": lengths}

    def forward(self, features: dict[str, torch.Tensor], **_: Any) -> dict[str, torch.Tensor]:
        """Adds `sentence_embedding`, float32 [n, v]."""
        states = self.encoder.padded_states(features["input_ids"], features["lengths"])
        vectors = (
            self.predictor.query_vectors
            if self.side == "query"
            else self.predictor.document_vectors
        )
        features["sentence_embedding"] = vectors(states, self.direction)
        return features

    def get_embedding_dimension(self) -> int:
        """Length of the vectors."""
        return self.student.dimension

    save: Any = RabtrieverEncoder.save
    """Refused as the encoder's is."""
