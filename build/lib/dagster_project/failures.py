"""The library's errors as Dagster failures: the plain message, retried only where that can help."""

import contextlib
from collections.abc import Iterator

import dagster as dg

from rabtriever_core.errors import IndexUnavailableError, RabtrieverError
from rabtriever_core.workspace.access import in_one_line


@contextlib.contextmanager
def as_failure() -> Iterator[None]:
    """Turn an expected error into a failure that says what to do.

    Expected are a `RabtrieverError`, and files that this user may not touch.

    Raises:
        dagster.Failure: with the error's message; only an unreachable index is worth a retry.
    """
    try:
        yield
    except (RabtrieverError, OSError) as error:
        said = in_one_line(error)
        if said is None:
            raise
        # The message is complete; Dagster would print the trace of an expected error twice over.
        raise dg.Failure(
            description=said,
            metadata={"error": type(error).__name__},
            allow_retries=isinstance(error, IndexUnavailableError),
        ) from None
