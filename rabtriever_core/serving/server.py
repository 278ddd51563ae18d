"""The query service as a process."""

import logging
import socket

from rabtriever_core.errors import ConfigError
from rabtriever_core.workspace import Workspace

_GRACE_SECONDS = 10


def serve(workspace: Workspace, host: str, port: int) -> None:
    """Answer over HTTP until the process is told to stop; queries begun are then finished.

    Raises:
        ConfigError: the port is taken, the host is no address of this machine, or the extra
            `serve` is not installed.
    """
    try:
        import uvicorn

        from rabtriever_core.serving.app import create_app
    except ModuleNotFoundError as error:
        if error.name not in ("uvicorn", "fastapi"):
            raise
        raise ConfigError(
            f"serving needs {error.name}, which is not installed: pip install 'rabtriever[serve]'"
        ) from None
    config = uvicorn.Config(
        create_app(workspace),
        log_config=None,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        server_header=False,
    )
    logging.getLogger("uvicorn").setLevel(logging.INFO)
    with _bound(host, port) as listening:
        uvicorn.Server(config).run(sockets=[listening])


def _bound(host: str, port: int) -> socket.socket:
    """A socket of our own, so that a taken port is an error like any other."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(
            f"cannot listen on {host} port {port} ({error}): choose another one with --port, or "
            "another address with --host"
        ) from None
    return listening
