"""The query service of a workspace, found by commands on the same machine that ask it."""

import ipaddress
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rabtriever_core.errors import RabtrieverError
from rabtriever_core.releases.log import last_served, read_log
from rabtriever_core.serving.remote import RemoteRetriever
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.atomic import write_json

logger = logging.getLogger(__name__)

# On this machine it answers at once, or it is not worth waiting for.
_LOOK_SECONDS = 2.0
_ANSWER_SECONDS = 60.0


@contextmanager
def announced(workspace: Workspace, scheme: str, host: str, port: int) -> Iterator[None]:
    """Say where a workspace is served from, within the block.

    Args:
        workspace: who is served.
        scheme: http or https.
        host: where the service listens.
        port: likewise.
    """
    path, own = _file(workspace), {"url": _url(scheme, host, port), "pid": os.getpid()}
    try:
        write_json(path, own)
    except OSError as error:  # a workspace that may only be read
        logger.debug("not announced: %s", error)
    try:
        yield
    finally:
        with suppress(OSError):
            if _said(path) == own:
                path.unlink()


def running_service(workspace: Workspace) -> RemoteRetriever | None:
    """A service that answers from what was promoted last in a workspace; None where none does.

    Whoever promotes and asks gets the new release, although a service follows a moment later.
    """
    said = _said(_file(workspace))
    if not _is_alive(said.get("pid")):
        return None
    try:
        url, promoted = str(said.get("url")), last_served(read_log(workspace))
        with RemoteRetriever(url, timeout_seconds=_LOOK_SECONDS, attempts=1) as asked:
            if asked.release.id == promoted:
                return RemoteRetriever(url, timeout_seconds=_ANSWER_SECONDS, attempts=2)
    except (RabtrieverError, ValueError) as error:
        logger.debug("the service that was announced is not asked: %s", error)
    return None


def _file(workspace: Workspace) -> Path:
    return workspace.work / "service.json"


def _url(scheme: str, host: str, port: int) -> str:
    """For this machine, also where it listens on all of its addresses."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "::1" if address.version == 6 else "127.0.0.1"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _said(path: Path) -> dict[str, object]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's
        return True
    except (OSError, OverflowError):
        return False
    return True
