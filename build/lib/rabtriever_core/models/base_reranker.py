"""A reranker reads document and query, one after the other, and scores the pair."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rabtriever_core.data.dataset import Document
from rabtriever_core.models.apart import Apart
from rabtriever_core.models.arrays import Floats, to_device, unit_rows
from rabtriever_core.models.backbone import Backbone, last_tokens, states_of_layers
from rabtriever_core.models.document_cache import repeat_cache, window_masks
from rabtriever_core.models.states import document_states, query_row_states, query_states
from rabtriever_core.models.text_encoder import TextEncoder

if TYPE_CHECKING:
    import torch


class Reranker(ABC):
    """Reads document and query and scores the pair by ⟨direction, answer-position state⟩.

    Which stands first is up to the prompt. Its keys and values are computed once and shared by all
    that it is scored with.

    Attributes:
        backbone: the model that reads.
        cosine_scale: weight of cos(e_Q, e_D) in the score, the states of query and document read
            apart; 0 for a reranker that knows a pair only from reading it.
        encoder: what reads them apart, the backbone itself unless another is given.
    """

    def __init__(
        self, backbone: Backbone, cosine_scale: float = 0.0, encoder: TextEncoder | None = None
    ) -> None:
        self.backbone = backbone
        self.cosine_scale = cosine_scale
        self.encoder: TextEncoder = encoder or backbone

    @abstractmethod
    def direction(self) -> "torch.Tensor":
        """What the answer-position state is multiplied with: shape [d]."""

    def margins(
        self,
        queries: Sequence[str],
        documents: Sequence[Document],
        *,
        batch_tokens: int = 8192,
        progress: bool = False,
    ) -> Floats:
        """Score of every pair: float32 [queries, documents]."""
        import torch
        from tqdm import tqdm

        prompt = self.backbone.prompt
        if not prompt.spec.document_first:
            every = np.tile(np.arange(len(documents)), (len(queries), 1))
            return self.candidate_margins(
                queries, documents, every, "reranker" if progress else None
            )
        query_ids = prompt.queries(queries)
        document_ids = prompt.documents(documents)
        margins = np.zeros((len(queries), len(documents)), dtype=np.float32)
        batches = list(_length_batches(query_ids, batch_tokens * self.backbone.batch_multiple))
        with torch.inference_mode():
            apart = self.read_apart(queries, query_ids, documents)
            for column, ids in enumerate(
                tqdm(document_ids, desc="reranker", unit="doc", disable=not progress)
            ):
                for rows in batches:
                    states, e_d = self.pair_states(
                        [ids], [query_ids[r] for r in rows], [0] * len(rows), range(len(rows))
                    )
                    columns, first = [column] * len(rows), [0] * len(rows)
                    scores = self.scores(
                        states, None if apart is None else apart.pairs(rows, columns, e_d, first)
                    )
                    margins[rows, column] = scores.cpu().numpy()
        return margins

    def margins_of_nearest(
        self,
        queries: Sequence[str],
        documents: Sequence[Document],
        depth: int,
        known: Mapping[str, Mapping[str, float]] | None = None,
    ) -> Floats:
        """Score of every pair, where only the `depth` nearest documents by cosine are read.

        All others come after them, in the order of their cosines. Reading every pair is what a
        large backbone takes too long for, and a pair that the cosine puts far down is rarely right.

        Args:
            queries: n texts.
            documents: the pool.
            depth: documents that are read for a query.
            known: query text → document id → score of pairs that were read before. Nothing is read
                if all are there.

        Returns:
            float32 [queries, documents].

        Raises:
            ValueError: the score holds no cosine.
        """
        if not self.cosine_scale:
            raise ValueError("documents can be ranked by a cosine only if the score holds one")
        e_q = unit_rows(query_states(self.encoder, queries))
        cosines = self.cosine_scale * (e_q @ unit_rows(document_states(self.encoder, documents)).T)
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :depth]
        wanted = [
            (known or {}).get(query, {}).get(documents[d].id)
            for query, row in zip(queries, nearest, strict=True)
            for d in row
        ]
        if None in wanted:
            read = self.candidate_margins(queries, documents, nearest, "reranker")
        else:
            read = np.array(wanted, dtype=np.float32).reshape(nearest.shape)
        last = np.take_along_axis(cosines, nearest[:, -1:], axis=1)
        margins: Floats = read.min(axis=1, keepdims=True) + (cosines - last)
        np.put_along_axis(margins, nearest, read, axis=1)
        return margins

    def read_apart(
        self,
        queries: Sequence[str],
        query_ids: Sequence[list[int]],
        documents: Sequence[Document],
    ) -> Apart | None:
        """Queries and documents read apart, for `scores`; None where the score does not ask for it.

        Args:
            queries: n texts, some of which may be the same.
            query_ids: their token ids, which the backbone reads where it reads apart itself.
            documents: m documents, which are read here unless reading the pairs gives e_D.
        """
        e_q = self.queries_apart(queries, query_ids)
        return None if e_q is None else Apart(e_q, self.documents_apart(documents))

    def queries_apart(
        self, queries: Sequence[str], query_ids: Sequence[list[int]]
    ) -> "torch.Tensor | None":
        """e_Q [n, d] for `scores`; None where the score does not ask for it."""
        if not self.cosine_scale:
            return None
        if self.encoder is not self.backbone:
            query_ids = self.encoder.prompt.queries(queries)
        # A query that is asked of several documents may be given once for each.
        number = {row: i for i, row in enumerate(dict.fromkeys(map(tuple, query_ids)))}
        states = query_row_states(self.encoder, [list(row) for row in number])
        every = states[[number[tuple(row)] for row in query_ids]]
        return to_device(every, self.backbone.device)

    def documents_apart(self, documents: Sequence[Document]) -> "torch.Tensor | None":
        """e_D [m, d]; None where reading the pairs gives it, or none is used.

        It does where the backbone reads the document first.
        """
        given = self.encoder is self.backbone and self.backbone.prompt.spec.document_first
        if not self.cosine_scale or given:
            return None
        return to_device(document_states(self.encoder, documents), self.backbone.device)

    def scores(
        self,
        states: "torch.Tensor",
        apart: "tuple[torch.Tensor, torch.Tensor] | None" = None,
    ) -> "torch.Tensor":
        """Scores of p pairs from their states; differentiable.

        Args:
            states: answer-position states [p, d], from `pair_states`.
            apart: e_Q and e_D of the pairs, [p, d'] each, from `Apart.pairs`; needed only with
                `cosine_scale`.

        Raises:
            ValueError: the score holds their cosine, and they are not given.
        """
        import torch

        scores = states @ self.direction()
        if self.cosine_scale:
            if apart is None:
                raise ValueError(f"a score with {self.cosine_scale} · cos(e_Q, e_D) needs both")
            cosines = torch.nn.functional.cosine_similarity(*apart, dim=-1)
            scores = scores + self.cosine_scale * cosines
        return scores

    def pair_states(
        self,
        document_ids: Sequence[Sequence[int]],
        query_ids: Sequence[Sequence[int]],
        document_index: Sequence[int],
        query_index: Sequence[int],
        layers: Sequence[int] = (),
    ) -> tuple["torch.Tensor", list["torch.Tensor"]]:
        """Answer-position states of pairs, what stands first read once; differentiable.

        Args:
            document_ids: token ids of the distinct documents.
            query_ids: token ids of the distinct query sides.
            document_index: document of every pair, length p.
            query_index: query of every pair, length p.
            layers: layers whose document states are wanted beside e_D.

        Returns:
            (e_T [p, d], [e_D, then the states of the layers; each documents × d]). The list is
            empty where the query stands first: what is read of a document then depends on it.
        """
        prompt = self.backbone.prompt
        first, second = prompt.in_order(document_ids, query_ids)
        ids, lengths = self.backbone.pad(first)
        if not prompt.spec.document_first:
            read = self.read_first(ids)
            return self.states_after(read.cache, lengths, second, query_index, document_index), []
        read = self.read_first(ids, output_hidden_states=bool(layers))
        e_t = self.states_after(read.cache, lengths, second, document_index, query_index)
        return e_t, states_of_layers(read, lengths, layers)

    def read_first(self, ids: "torch.Tensor", **options: Any) -> Any:
        """What the blocks make of first sides [n, l], with all keys and values in its cache.

        The model's own cache would drop what lies outside the window of sliding layers, padding
        counted in.
        """
        from transformers import DynamicCache

        return self.backbone.read(input_ids=ids, use_cache=True, cache=DynamicCache(), **options)

    def states_after(
        self,
        cache: Any,
        lengths: "torch.Tensor",
        second_ids: Sequence[Sequence[int]],
        first_index: Sequence[int],
        second_index: Sequence[int],
    ) -> "torch.Tensor":
        """Answer-position states of pairs whose first sides were read; differentiable.

        Args:
            cache: keys and values of the first sides, right-padded to one width.
            lengths: tokens of every first side.
            second_ids: token ids of the distinct second sides.
            first_index: first side of every pair, length p.
            second_index: second side of every pair, length p.

        Returns:
            e_T [p, d].
        """
        import torch

        backbone, device = self.backbone, lengths.device
        of_first = to_device(np.asarray(first_index), device)
        of_second = to_device(np.asarray(second_index), device)
        width = cache.layers[0].keys.shape[2]
        rows, row_lengths = backbone.pad(second_ids)
        steps = torch.arange(rows.shape[1], device=device)[None]
        positions = lengths[of_first][:, None] + steps
        mask: Any = None
        window = backbone.window
        if window is not None and width + rows.shape[1] > window:
            mask = window_masks(backbone, lengths[of_first], width, positions, window)
        elif int(lengths.min()) < width:
            # Shorter first sides are padded in the middle of the sequence: hide that.
            real = torch.arange(width, device=device)[None] < lengths[:, None]
            after = torch.ones(len(of_second), rows.shape[1], dtype=torch.bool, device=device)
            mask = torch.cat([real[of_first], after], dim=1).long()
        states = backbone.read(
            input_ids=rows[of_second],
            cache=repeat_cache(cache, of_first),
            attention_mask=mask,
            position_ids=positions,
        ).last_hidden_state
        return last_tokens(states, row_lengths[of_second])

    def candidate_states(
        self,
        document_ids: Sequence[Sequence[int]],
        query_ids: Sequence[list[int]],
        candidates: npt.NDArray[np.int64],
        label: str | None,
        apart: Apart | None = None,
        *,
        batch_pairs: int = 256,
    ) -> Iterator[
        tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], "torch.Tensor", "torch.Tensor"]
    ]:
        """States and scores of every query with candidates of its own, grouped by what is first.

        Args:
            document_ids: token ids of all documents.
            query_ids: token ids of the n query sides.
            candidates: document numbers [n, k].
            label: names the progress bar; there is none without.
            apart: of the same queries and documents, from `read_apart`.
            batch_pairs: pairs read at once.

        Yields:
            (rows [p], columns [p], answer-position states [p, d], scores [p]) of a batch of pairs.
        """
        import torch
        from tqdm import tqdm

        n, k = candidates.shape
        batch_pairs *= self.backbone.batch_multiple
        order = np.arange(n * k)
        if self.backbone.prompt.spec.document_first:
            order = np.argsort(candidates.ravel(), kind="stable")
        with torch.inference_mode():
            starts = range(0, len(order), batch_pairs)
            for start in tqdm(starts, desc=label, unit="batch", disable=label is None):
                pairs = order[start : start + batch_pairs]
                rows, documents = pairs // k, candidates.ravel()[pairs]
                distinct, of_document = np.unique(documents, return_inverse=True)
                asked, of_query = np.unique(rows, return_inverse=True)
                states, e_d = self.pair_states(
                    [document_ids[d] for d in distinct],
                    [query_ids[r] for r in asked],
                    of_document.tolist(),
                    of_query.tolist(),
                )
                numbers = rows.tolist(), documents.tolist()
                scores = self.scores(
                    states,
                    None if apart is None else apart.pairs(*numbers, e_d, of_document.tolist()),
                )
                yield rows, pairs % k, states, scores

    def candidate_margins(
        self,
        queries: Sequence[str],
        documents: Sequence[Document],
        candidates: npt.NDArray[np.int64],
        label: str | None,
    ) -> Floats:
        """Scores [n, k] of every query with candidates of its own.

        Args:
            queries: the n texts.
            documents: what `candidates` numbers.
            candidates: document numbers [n, k].
            label: names the progress bar; there is none without.
        """
        used, numbers = np.unique(candidates, return_inverse=True)
        asked = [documents[d] for d in used]
        of_text = dict.fromkeys(queries)
        rows = dict(zip(of_text, self.backbone.prompt.queries(list(of_text)), strict=True))
        query_ids = [rows[text] for text in queries]
        margins = np.zeros(candidates.shape, dtype=np.float32)
        for row, column, _, scores in self.candidate_states(
            self.backbone.prompt.documents(asked),
            query_ids,
            numbers.reshape(candidates.shape),
            label,
            self.read_apart(queries, query_ids, asked),
        ):
            margins[row, column] = scores.cpu().numpy()
        return margins


def _length_batches(rows: Sequence[Sequence[int]], batch_tokens: int) -> Sequence[list[int]]:
    """Row numbers in batches of like length, at most `batch_tokens` padded tokens each."""
    batches: list[list[int]] = []
    for row in sorted(range(len(rows)), key=lambda r: (len(rows[r]), r)):
        size = (len(batches[-1]) + 1) * len(rows[row]) if batches else 0
        if batches and size <= batch_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches
