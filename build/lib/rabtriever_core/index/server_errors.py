"""What a Qdrant server's client raises, said in this project's errors, without keys."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from rabtriever_core.config.secrets import without_secrets
from rabtriever_core.errors import IndexMismatchError, IndexUnavailableError
from rabtriever_core.index.retry import is_transient


@contextmanager
def server_errors(url: str) -> Iterator[None]:
    """What a server's client raises, said in this project's errors.

    Raises:
        IndexUnavailableError: the server cannot be reached, refuses the key or breaks off.
        IndexMismatchError: it has no such collection.
    """
    from pydantic import ValidationError
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    try:
        yield
    except json.JSONDecodeError:
        raise _no_qdrant(url, "its answer is no JSON") from None
    except ResponseHandlingException as error:
        if isinstance(error.source, ValidationError):
            raise _no_qdrant(url, "its answer is none of Qdrant's") from None
        if not is_transient(error):
            raise
        said = without_secrets(str(error.source) or type(error.source).__name__)
        raise IndexUnavailableError(
            f"Qdrant at {_with_port(url)} cannot be reached ({said}): start it or unset QDRANT_URL"
            + _port_advice(url)
        ) from error
    except ResourceExhaustedResponse as error:
        said = without_secrets(str(error))
        raise IndexUnavailableError(
            f"Qdrant at {url} is overloaded ({said}): try again later or raise its limits"
        ) from error
    except UnexpectedResponse as error:
        if error.status_code in (401, 403):
            raise IndexUnavailableError(
                f"Qdrant at {url} refuses the API key ({error.status_code}): set QDRANT_API_KEY"
            ) from error
        if (error.status_code or 0) < 500 and not _is_qdrants(error.content):
            raise _no_qdrant(url, f"it answers {error.status_code}") from error
        if error.status_code == 404:
            said = without_secrets(error.content.decode(errors="replace"))
            raise IndexMismatchError(
                f"Qdrant at {url} has not what was asked for ({said[:200]})"
            ) from error
        if error.status_code is not None and error.status_code >= 500:
            said = without_secrets(f"{error.status_code} {error.reason_phrase}")
            raise IndexUnavailableError(f"Qdrant at {url} fails ({said}): see its log") from error
        raise


def _no_qdrant(url: str, why: str) -> IndexUnavailableError:
    return IndexUnavailableError(
        f"what answers at {_with_port(url)} is not Qdrant ({why}): check the port and the path of "
        f"index.url (QDRANT_URL){_port_advice(url)}"
    )


def _is_qdrants(content: bytes) -> bool:
    """Whether an answer is one of Qdrant's, and not of what stands before it, or of another."""
    try:
        answer = json.loads(content)
    except ValueError:
        return False
    return isinstance(answer, dict) and "status" in answer


def _with_port(url: str) -> str:
    """The address as it is asked, its port included."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    if parts.port is not None or usual is None:
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.netloc}:{usual}"))


def _port_advice(url: str) -> str:
    return (
        "" if _with_port(url) == url else "; Qdrant itself listens on port 6333: http://host:6333"
    )
