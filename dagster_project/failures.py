"""The library's errors as Dagster failures: the plain message, retried only where that can help."""

import contextlib
from collections.abc import Iterator

import dagster as dg

from rabtriever_core.errors import IndexUnavailableError, RabtrieverError


@contextlib.contextmanager
def as_failure() -> Iterator[None]:
    """Turn a `RabtrieverError` into a failure that says what to do.

    Raises:
        dagster.Failure: with the error's message; only an unreachable index is worth a retry.
    """
    try:
        yield
    except RabtrieverError as error:
        # The message is complete; Dagster would print the trace of an expected error twice over.
        raise dg.Failure(
            description=str(error),
            metadata={"error": type(error).__name__},
            allow_retries=isinstance(error, IndexUnavailableError),
        ) from None
