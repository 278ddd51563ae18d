"""Further systems as rankers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rabtriever_core.config import PromptConfig, RuntimeConfig
from rabtriever_core.data.dataset import Document
from rabtriever_core.evaluation.systems import Ranker, reranker, teacher_ranker, vector_ranker
from rabtriever_core.lab.baselines.linear_reranker import LinearReranker
from rabtriever_core.lab.baselines.systems import Chosen
from rabtriever_core.models.model_source import encoder_source
from rabtriever_core.models.pretrained_encoder import pretrained_encoder
from rabtriever_core.training.bi_encoder import BiEncoder
from rabtriever_core.workspace.artifacts import Artifact


def baseline_rankers(
    chosen: Chosen,
    artifacts: Mapping[str, Artifact],
    documents: Sequence[Document],
    runtime: RuntimeConfig,
    depth: int,
    retrieve: tuple[Ranker, int] | None = None,
) -> dict[str, Ranker]:
    """Rankers of all chosen systems; documents are embedded here, before anything is timed.

    Args:
        chosen: the systems.
        artifacts: of those that train.
        documents: the pool.
        runtime: where computations run.
        depth: documents per ranking.
        retrieve: whose results a reranker ranks, and how many of them; the whole pool without it.

    Raises:
        ModelError: MiniLM is chosen and not fetched.
    """
    ids = [document.id for document in documents]
    rankers: dict[str, Ranker] = {}
    for name in chosen.systems:
        if name == "linear_reranker":
            linear = LinearReranker.load(artifacts[name].folder, runtime)
            rankers[name] = (
                teacher_ranker(linear, documents, depth)
                if retrieve is None
                else reranker(linear, documents, *retrieve)
            )
            continue
        encoder = (
            BiEncoder(pretrained_encoder(encoder_source(name, Path()), PromptConfig(), runtime))
            if name == "minilm"
            else BiEncoder.load(artifacts[name].folder, runtime)
        )
        vectors = encoder.encode_documents(documents)
        rankers[name] = vector_ranker(encoder.encode_queries, ids, vectors, depth)
    return rankers
