"""Whether a model does what later stages rely on: tried before anything is trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rabtriever_core.config import LoraConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.errors import ModelError
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.context import check_context
from rabtriever_core.models.lora import with_adapters
from rabtriever_core.models.reranker import GenerativeReranker

if TYPE_CHECKING:
    import torch

_INSTEAD = "choose a model of another family: Llama, SmolLM, Qwen 2 to 3, Mistral, Gemma 3"
_WORDS = "one two three four five six seven eight nine ten "


def check_suitable(backbone: Backbone, where: str, lora: LoraConfig | None) -> None:
    """Try a pretrained backbone on documents of different lengths and on queries.

    Args:
        backbone: in inference mode; it stays as it is.
        where: names it in errors.
        lora: the adapters that the teacher will be trained with.

    Raises:
        ModelError: says what does not work, and what to choose instead.
    """
    import torch

    check_context(backbone)
    with torch.inference_mode():
        if float(backbone.answer_direction().norm()) == 0:
            raise ModelError(
                f"{where}: its head has the same row for prompt.true_answer and "
                "prompt.false_answer, so it can't tell them apart: set other answers"
            )
    with _few_layers(backbone):
        tried = _Tried(backbone)
        with _says_what_fails(where, "reading texts of different lengths side by side"):
            tried.padding()
        first, others = "document", "queries"
        if not backbone.prompt.spec.document_first:
            first, others = "query", "documents"
        with _says_what_fails(where, f"sharing a {first}'s keys and values between {others}"):
            tried.shared_sides()
        with _says_what_fails(where, f"training through a {first}'s shared keys and values"):
            tried.gradient()
    if lora is not None:
        trained = {name: p.requires_grad for name, p in backbone.model.named_parameters()}
        with _says_what_fails(where, "putting adapters on (backbone.lora.target_modules)"):
            adapted: Any = with_adapters(backbone, lora, 0)
            adapted.unload()
        for name, parameter in backbone.model.named_parameters():
            parameter.requires_grad_(trained[name])


class _Tried:
    """Documents and queries for a backbone, beyond its window where it has one."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.reranker = GenerativeReranker(backbone)
        prompt, spec = backbone.prompt, backbone.prompt.spec
        # Cut to what the prompt allows.
        whole = _WORDS * max(spec.max_document_tokens, spec.max_query_tokens)
        documents, queries = prompt.documents([Document("", whole)]), prompt.queries([whole])
        window = backbone.window
        if window is None or len(documents[0]) + len(queries[0]) <= window:
            documents, queries = (
                prompt.documents([Document("", _WORDS * 2)]),
                prompt.queries(["ten"]),
            )
        self.documents = [
            *prompt.documents([Document("", "one"), Document("", _WORDS)]),
            *documents,
        ]
        self.queries = [*prompt.queries(["two"]), *queries]
        self.of_document, self.of_query = [0, 1, 2, 0], [0, 1, 1, 1]
        self.pairs = [
            prompt.pair(self.documents[d], self.queries[q])
            for d, q in zip(self.of_document, self.of_query, strict=True)
        ]
        coarse = backbone.model.dtype.itemsize < 4
        self.tolerance = 0.1 if coarse else 1e-3

    def padding(self) -> None:
        """A text's state is the same, whatever longer text is read beside it."""
        import torch

        with torch.inference_mode():
            beside = self.backbone.last_states(self.pairs)[:1]
            self._compare(beside, self.backbone.last_states(self.pairs[:1]))

    def shared_sides(self) -> None:
        """The states of pairs whose first side was read before are those of whole sequences."""
        import torch

        with torch.inference_mode():
            self._compare(self._shared(), self.backbone.last_states(self.pairs))

    def gradient(self) -> None:
        """So is the gradient of a weight at the bottom, which reaches it through the first side."""
        import torch

        block = getattr(self.backbone.body, "layers", self.backbone.body.children())
        weight = next(p for part in block for p in part.parameters() if p.ndim > 1)
        trained = weight.requires_grad
        with torch.enable_grad():
            weight.requires_grad_(True)
            direction = self.backbone.answer_direction().detach()
            gradients = [
                torch.autograd.grad((states @ direction).sum(), weight)[0].float()
                for states in (self._shared(), self.backbone.last_states(self.pairs))
            ]
        weight.requires_grad_(trained)
        self._compare(*gradients)

    def _shared(self) -> "torch.Tensor":
        return self.reranker.pair_states(
            self.documents, self.queries, self.of_document, self.of_query
        )[0]

    def _compare(self, found: "torch.Tensor", expected: "torch.Tensor") -> None:
        apart = float((found - expected).norm() / expected.norm())
        if not apart <= self.tolerance:  # not a number is no agreement either
            raise ModelError(f"numbers differ by {apart:.1%} from those of whole texts read alone")


@contextmanager
def _few_layers(backbone: Backbone) -> Iterator[None]:
    """Only as many of its first layers as have every kind of layer: thirty alike take long."""
    body = backbone.body
    layers = getattr(body, "layers", None)
    if layers is None:
        yield
        return
    kinds = getattr(backbone.model.config.get_text_config(), "layer_types", None) or []
    body.layers = layers[: max([2, *(kinds.index(kind) + 1 for kind in set(kinds))])]
    try:
        yield
    finally:
        body.layers = layers


@contextmanager
def _says_what_fails(where: str, doing: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # whatever a model's code does when it is used in a way it can't be
        import torch

        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{where} does not fit the method: {doing} fails ({type(error).__name__}: {reason}); "
            f"{_INSTEAD}"
        ) from error
