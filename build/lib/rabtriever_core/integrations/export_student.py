"""The student as a folder of sentence-transformers, made of that library's own modules only.

A `Router` reads queries and documents in different ways. The predictor becomes linear layers: the
margin is ⟨L(gate(e_Q)), document_vectors(e_D)⟩ for a linear L, and so are the document's vectors.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from rabtriever_core.integrations.export_tokenizer import (
    Frame,
    document_frame,
    framing_tokenizer,
    query_frame,
)
from rabtriever_core.models.backbone import Backbone
from rabtriever_core.models.encoder import Encoder
from rabtriever_core.models.text_encoder import TextEncoder

if TYPE_CHECKING:
    from torch import Tensor

    from rabtriever_core.models.predictor import Predictor
    from rabtriever_core.models.student import Student

Layer = tuple["Tensor", "Tensor", bool]
"""Weight [out, in], bias [out], and whether a ReLU follows."""


def write_student(student: "Student", folder: Path) -> None:
    """Write a folder for `SentenceTransformer(folder)`.

    `encode_query(q) @ encode_document(d).T` is the margin without `query_offsets`.

    Raises:
        ModelError: the tokenizer has no fast form.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router

    queries, documents = student.query_encoder, student.encoder
    layers = {
        "query": query_layers(student.predictor, student.direction),
        "document": document_layers(student.predictor, student.direction),
    }
    router = Router(
        {
            "query": [*_reading(queries, query_frame(queries.prompt)), *_dense(layers["query"])],
            "document": [
                *_reading(documents, document_frame(documents.prompt)),
                *_dense(layers["document"]),
            ],
        },
        # Neither side is a default: a text read as the wrong one ranks wrongly, silently.
        allow_empty_key=False,
    )
    model = SentenceTransformer(
        modules=[router],
        device="cpu",
        similarity_fn_name="dot",
        prompts={"query": "", "document": ""},
    )
    model.save_pretrained(str(folder), create_model_card=False)


def has_offsets(predictor: "Predictor") -> bool:
    """Whether margins are the vectors' dot products up to a shift of each query."""
    from rabtriever_core.models.predictor import Predictor

    return type(predictor).query_offsets is not Predictor.query_offsets


def query_layers(predictor: "Predictor", direction: "Tensor") -> list[Layer]:
    """`query_vectors` as linear layers with ReLU between them, in float64.

    The linear path past the MLP goes through its layers as (ReLU(x), ReLU(−x)), whose difference
    is x.
    """
    import torch
    from torch import nn

    from rabtriever_core.models.predictor import Gate

    exact, w = _exact(predictor, direction)
    name, gate = next((n, m) for n, m in exact.named_children() if isinstance(m, Gate))
    *hidden, last = [part for part in gate.mlp if isinstance(part, nn.Linear)]
    # The gate's output is all that query_vectors reads of a query, and it reads it linearly.
    setattr(exact, name, nn.Identity())
    weight, bias = _affine(lambda x: exact.query_vectors(x, w), last.out_features)
    bias = bias + weight @ last.bias
    past = None if gate.skip is None else weight @ gate.skip.weight
    weight = weight @ last.weight
    layers: list[Layer] = []
    for linear in hidden:
        inner: Tensor = linear.weight
        inner_bias: Tensor = linear.bias
        if past is not None:
            width = past.shape[1]
            if layers:
                kept = torch.eye(2 * width).to(inner)
                inner = torch.block_diag(inner, kept)  # type: ignore[no-untyped-call]
            else:
                inner = torch.cat([inner, torch.eye(width).to(inner), -torch.eye(width).to(inner)])
            inner_bias = torch.cat([inner_bias, inner_bias.new_zeros(2 * width)])
        layers.append((inner, inner_bias, True))
    if past is not None:
        weight = torch.cat([weight, past, -past], dim=1) if hidden else weight + past
    return [*layers, (weight, bias, False)]


def document_layers(predictor: "Predictor", direction: "Tensor") -> list[Layer]:
    """`document_vectors` as at most one linear layer, in float64; none where they are e_D."""
    import torch

    exact, w = _exact(predictor, direction)
    weight, bias = _affine(lambda x: exact.document_vectors(x, w), int(exact.shape["width"]))
    if not bias.any() and torch.equal(weight, torch.eye(len(weight), weight.shape[1]).to(weight)):
        return []
    return [(weight, bias, False)]


def _exact(predictor: "Predictor", direction: "Tensor") -> "tuple[Predictor, Tensor]":
    exact = copy.deepcopy(predictor).double().requires_grad_(False)
    return exact, direction.double()


def _affine(function: "Callable[[Tensor], Tensor]", width: int) -> "tuple[Tensor, Tensor]":
    """Weight and bias of an affine map [n, width] → [n, out]."""
    import torch

    bias = function(torch.zeros(1, width, dtype=torch.float64))[0]
    weight = function(torch.eye(width, dtype=torch.float64)) - bias
    return weight.T, bias


def _dense(layers: list[Layer]) -> list[Any]:
    from sentence_transformers.base.modules import Dense
    from torch import nn

    return [
        Dense(
            in_features=weight.shape[1],
            out_features=weight.shape[0],
            activation_function=nn.ReLU() if rectified else nn.Identity(),
            init_weight=weight.float().contiguous(),
            init_bias=bias.float(),
        )
        for weight, bias, rectified in layers
    ]


def _reading(encoder: TextEncoder, frame: Frame) -> list[Any]:
    """Modules from a text to e_Q or e_D."""
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling

    body = encoder.body if isinstance(encoder, Backbone) else encoder.model
    tokenizer = framing_tokenizer(encoder.prompt, frame)
    reader = reading_module(body, tokenizer, "feature-extraction")
    if not isinstance(encoder, Encoder):
        return [reader, Pooling(encoder.dimension, "lasttoken")]
    return [reader, Pooling(encoder.dimension, encoder.prompt.spec.pooling), Normalize()]


def reading_module(
    model: Any, tokenizer: Any, task: Literal["feature-extraction", "text-generation"]
) -> Any:
    """A `Transformer` of sentence-transformers that reads plain texts in float32.

    Args:
        model: of `transformers`.
        tokenizer: puts the prompt around the texts.
        task: whether states are wanted of it, or logits.
    """
    from sentence_transformers.base.modules import Transformer

    read, given = {
        "feature-extraction": ("last_hidden_state", "token_embeddings"),
        "text-generation": ("logits", "causal_logits"),
    }[task]
    with TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        return Transformer(
            scratch,
            transformer_task=task,
            model_kwargs={"dtype": "float32"},
            # Said, lest a chat template be found in the tokenizer.
            modality_config={"text": {"method": "forward", "method_output_name": read}},
            module_output_name=given,
        )
