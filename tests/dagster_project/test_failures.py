"""Expected errors end a step with one message, without a trace and without secrets."""

import errno

import dagster as dg
import pytest

from dagster_project.failures import as_failure
from rabtriever_core.errors import ConfigError, IndexUnavailableError


@pytest.mark.parametrize(
    ("error", "said", "again"),
    [
        (IndexUnavailableError("Qdrant is away"), "Qdrant is away", True),
        (ConfigError("https://me:word@host is none"), "https://…@host is none", False),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x may not be used", False),
        (OSError(errno.EROFS, "Read-only", "/x"), "read-only file system", False),
    ],
)
def test_expected_errors_are_failures(error: Exception, said: str, again: bool) -> None:
    with pytest.raises(dg.Failure) as found, as_failure():
        raise error
    assert said in str(found.value.description)
    assert found.value.allow_retries is again


@pytest.mark.parametrize("error", [KeyError("ours"), OSError(errno.EIO, "broken", "/x")])
def test_others_keep_their_trace(error: Exception) -> None:
    with pytest.raises(type(error)), as_failure():
        raise error
