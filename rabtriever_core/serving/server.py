"""The query service as a process."""

import ipaddress
import json
import logging
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rabtriever_core.errors import ConfigError
from rabtriever_core.extras import extra_of, missing_extra
from rabtriever_core.serving.announcement import announced
from rabtriever_core.serving.keys import ApiKeys
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 10
# Longer than proxies keep an idle connection (60): the one that closes it must be them, or they
# send a request to nobody.
_KEEP_ALIVE_SECONDS = 75
_COLOURED = "color_message"


@dataclass(frozen=True)
class Listening:
    """Where a service listens, and how it is spoken to."""

    host: str
    port: int
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    root_path: str = ""
    """Where a proxy shows it."""

    @property
    def address(self) -> str:
        """For a browser on this machine, or where the host is named."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_certificate else 'http'}://{host}:{self.port}/"


def serve(
    workspace: Workspace,
    listening: Listening,
    *,
    without_keys: bool = False,
    text_log: bool = False,
) -> None:
    """Answer over HTTP until the process is told to stop; queries begun are then finished.

    Args:
        workspace: whose served release answers.
        listening: address and TLS.
        without_keys: answer everyone on an address that others reach.
        text_log: lines for people instead of JSON.

    Raises:
        ConfigError: the port is taken, the host is no address of this machine or is open to others
            without keys, TLS files cannot be used, or the extra `serve` is not installed.
    """
    app = _app(workspace, listening)
    import uvicorn

    if not (without_keys or _is_loopback(listening.host) or ApiKeys(workspace).required):
        raise ConfigError(
            f"{listening.host} can be reached by others, and there is no API key: make one with "
            "`rabtriever keys create NAME`, or say --without-keys where a proxy checks who asks"
        )
    _set_up_log(text_log)
    config = uvicorn.Config(
        app,
        log_config=None,
        # `Observed` writes a line of its own.
        access_log=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        server_header=False,
        ssl_certfile=listening.tls_certificate,
        ssl_keyfile=listening.tls_key,
    )
    if (listening.tls_certificate is None) != (listening.tls_key is None):
        raise ConfigError("TLS takes both files: --tls-certificate and --tls-key")
    try:
        config.load()
    except OSError as error:  # ssl's errors are OSErrors
        raise ConfigError(
            f"the TLS files {listening.tls_certificate} and {listening.tls_key} cannot be used "
            f"({error})"
        ) from None
    with _bound(listening.host, listening.port) as bound:
        logger.info("answering at %s (search page; /docs)", listening.address)
        uvicorn.Server(config).run(sockets=[bound])


def _app(workspace: Workspace, listening: Listening) -> "FastAPI":
    try:
        from rabtriever_core.serving.app import create_app
    except ModuleNotFoundError as error:
        if extra_of(error) is None:
            raise
        raise missing_extra("serve", error) from None
    scheme = "https" if listening.tls_certificate else "http"
    announcement = announced(workspace, scheme, listening.host, listening.port)
    return create_app(workspace, listening.root_path, announcement)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _set_up_log(text: bool) -> None:
    """One JSON object per line: who runs many services reads their logs by machine."""
    from pythonjsonlogger.core import RESERVED_ATTRS
    from pythonjsonlogger.json import JsonFormatter

    for name in ("uvicorn", "rabtriever_core"):
        logging.getLogger(name).setLevel(logging.INFO)
    formatter: logging.Formatter = _Lines()
    if not text:
        formatter = JsonFormatter(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
            # Of uvicorn: the message again, for a terminal.
            reserved_attrs=[*RESERVED_ATTRS, _COLOURED],
        )
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)


class _Lines(logging.Formatter):
    """Time, level, message, and whatever else a record says: `route=/v1/search status=200`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        usual = logging.makeLogRecord({}).__dict__
        self._usual = {*usual, "message", "asctime", _COLOURED}

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of the base class
        """The line; a trace follows below it."""
        more = {name: v for name, v in record.__dict__.items() if name not in self._usual}
        said = [super().formatMessage(record), *(f"{k}={_word(v)}" for k, v in more.items())]
        return " ".join(said)


def _word(value: object) -> str:
    """A value without line ends and, where it is a word, without quotes."""
    text = str(value)
    return text if re.fullmatch(r"[\w./{}:-]+", text) else json.dumps(value, ensure_ascii=False)


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
