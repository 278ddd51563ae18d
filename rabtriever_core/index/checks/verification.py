"""Checks of a physical collection before it may be served."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rabtriever_core.errors import IndexMismatchError
from rabtriever_core.index.collection import stored_points, vector_params
from rabtriever_core.index.lexical import VECTOR
from rabtriever_core.index.retry import with_retry
from rabtriever_core.index.vectors import point_id

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import CollectionInfo

_FIELDS = ("document_id", "title", "text")


def verify_collection(
    client: "QdrantClient",
    physical: str,
    ids: Sequence[str],
    dimension: int,
    green_seconds: float = 600.0,
    *,
    quantized: bool = False,
    words: bool = False,
) -> None:
    """Check that a collection is whole: status, dimension, points, payloads.

    Args:
        client: Qdrant.
        physical: the collection.
        ids: the document ids it must hold, and no others.
        dimension: of its vectors.
        green_seconds: how long a server may go on building its index.
        quantized: whether a server must hold quantized vectors.
        words: whether it must have BM25.

    Raises:
        IndexMismatchError: names what differs.
    """
    from qdrant_client import models

    info = _settled(client, physical, green_seconds)
    problems = []
    if info.status != models.CollectionStatus.GREEN:
        problems.append(f"status is {info.status.value} after {green_seconds:.0f} s, not green")
    params = vector_params(info)
    if params is None or (params.size, params.distance) != (dimension, models.Distance.DOT):
        problems.append(f"vectors are {params}, not {dimension}-dimensional with dot product")
    if quantized and info.config.quantization_config is None:
        problems.append("vectors are not quantized")
    if words and VECTOR not in (info.config.params.sparse_vectors or {}):
        problems.append("there is no BM25")
    count = client.count(physical, exact=True).count
    if count != len(ids):
        problems.append(f"{count} points, not {len(ids)}")
    absent = {point_id(id_): id_ for id_ in ids}
    for point in stored_points(client, physical):
        absent.pop(point, None)
    if absent:
        problems.append(f"{len(absent)} documents missing, e.g. {next(iter(absent.values()))!r}")
    for field in _FIELDS:
        filled = models.Filter(
            must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=field))]
        )
        present = client.count(physical, count_filter=filled, exact=True).count
        if present != len(ids):
            problems.append(f"payload field {field!r} in {present} points, not {len(ids)}")
    if problems:
        raise IndexMismatchError(
            f"collection {physical} is not whole: {'; '.join(problems)}. It is not served; delete "
            "it and run `rabtriever run qdrant_collection`"
        )


def _settled(client: "QdrantClient", physical: str, seconds: float) -> "CollectionInfo":
    """The collection's state once it is no longer optimizing, or after `seconds`."""
    import time

    from qdrant_client import models

    deadline = time.monotonic() + seconds
    while True:
        info = with_retry(lambda: client.get_collection(physical))
        unsettled = (models.CollectionStatus.YELLOW, models.CollectionStatus.GREY)
        if info.status == models.CollectionStatus.GREY:
            # A restarted server waits for an update before it goes on; an empty one will do.
            client.update_collection(physical, optimizers_config=models.OptimizersConfigDiff())
        if info.status not in unsettled or time.monotonic() >= deadline:
            return info
        time.sleep(0.5)
