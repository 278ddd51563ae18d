"""Connections to Qdrant: a server where one is configured, else local mode in the workspace."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rabtriever_core.config import IndexConfig
from rabtriever_core.errors import ConfigError, IndexUnavailableError
from rabtriever_core.index.retry import with_retry
from rabtriever_core.index.server_errors import server_errors
from rabtriever_core.workspace.access import refusal, user
from rabtriever_core.workspace.locks import file_lock

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

_LOCK = ".rabtriever.lock"
_PING_ATTEMPTS = 4


@contextmanager
def connect(
    config: IndexConfig, local: Path, *, lock_seconds: float = 5.0
) -> Iterator["QdrantClient"]:
    """Open Qdrant and close it again.

    Args:
        config: `url` set means server, unset means local mode.
        local: storage folder of local mode; created when missing.
        lock_seconds: how long to wait for another process to leave the folder.

    Raises:
        IndexUnavailableError: the server cannot be reached, refuses the key or breaks off; or
            the folder is open in another process, or damaged.
        ConfigError: the URL is malformed.
    """
    if config.url:
        with _server(config, config.url) as client:
            yield client
    else:
        with _local(local, lock_seconds) as client:
            yield client


@contextmanager
def _server(config: IndexConfig, url: str) -> Iterator["QdrantClient"]:
    client = open_server(config, url)
    try:
        with server_errors(url):
            with_retry(client.info, attempts=_PING_ATTEMPTS)
            yield client
    finally:
        client.close()


def open_server(config: IndexConfig, url: str) -> "QdrantClient":
    """A client of a server, which nothing has been asked yet; threads may share it.

    Raises:
        ConfigError: the URL is malformed.
    """
    from qdrant_client import QdrantClient
    from urllib3.exceptions import LocationParseError

    # Said in the documentation; here it would be repeated at every step.
    warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
    try:
        return QdrantClient(
            url=url,
            port=None,  # the address's own; the client would put 6333 behind https://host
            api_key=config.api_key,
            timeout=max(1, round(config.timeout_seconds)),
            # Its check runs in a thread of its own and only warns; the first request says more.
            check_compatibility=False,
        )
    except (ValueError, LocationParseError) as error:
        raise ConfigError(
            f"index.url {url!r} is not a URL ({error}): expected http://host:6333"
        ) from None


@contextmanager
def _local(folder: Path, lock_seconds: float) -> Iterator["QdrantClient"]:
    import filelock

    # Qdrant reads the folder before it takes its own lock, so a process that waits for another
    # one could go on with stale aliases. This lock is held before anything is read.
    try:
        lock = file_lock(folder / _LOCK, timeout=lock_seconds)
        lock.acquire()
    except filelock.Timeout:
        raise _locked(folder) from None
    except OSError as error:
        if refusal(error):
            raise _denied(folder, error) from error
        raise
    try:
        client = _open_local(folder)
        try:
            yield client
        finally:
            client.close()
    finally:
        lock.release()


def _open_local(folder: Path) -> "QdrantClient":
    import sqlite3

    from qdrant_client import QdrantClient

    # Users are told in the documentation; here it would be repeated at every step. What local mode
    # ignores of the settings is said by `warn_of_local_mode`, and an exact search is what it does.
    for message in (
        "Local mode is not recommended for collections",
        "Local mode performs exact",
    ):
        warnings.filterwarnings("ignore", message=message, category=UserWarning)
    try:
        return QdrantClient(path=str(folder))
    except RuntimeError as error:
        if "already accessed" in str(error):
            raise _locked(folder) from None
        raise
    except OSError as error:
        if refusal(error):
            raise _denied(folder, error) from error
        raise  # the disk's business, and not that of what is on it
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise
        if "readonly" in str(error) or "unable to open" in str(error):
            raise _denied(folder, error) from error
        raise _damaged(folder, error) from error
    # Local mode keeps its points pickled: damaged bytes raise whatever they happen to spell.
    except Exception as error:
        raise _damaged(folder, error) from error


def _denied(folder: Path, error: Exception) -> IndexUnavailableError:
    return IndexUnavailableError(
        f"the Qdrant folder {folder} cannot be written by {user()} ({error}): Qdrant's local mode "
        "takes write access to it, also for reading; give it, or use a server (QDRANT_URL)"
    )


def _damaged(folder: Path, error: Exception) -> IndexUnavailableError:
    return IndexUnavailableError(
        f"the Qdrant folder {folder} is damaged ({type(error).__name__}: {error}): delete it, then "
        "`rabtriever releases restore` serves again what was served, and `rabtriever run "
        "qdrant_collection` builds what was not released yet"
    )


def _locked(folder: Path) -> IndexUnavailableError:
    return IndexUnavailableError(
        f"the Qdrant folder {folder} is locked: another process (e.g. a Dagster run, query or "
        "serve) has it open. Wait until it ends, stop it, or use a server (QDRANT_URL)"
    )
