"""Tell people by webhook: one JSON object by POST, with patience, and without giving secrets away.

A notice that cannot be delivered is logged and given up: it never fails what it tells of. Neither
the address nor what a library says about it is ever logged: such addresses hold secrets in their
path.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from rabtriever_core.config import Settings, secrets

if TYPE_CHECKING:
    from tenacity.wait import wait_base

logger = logging.getLogger(__name__)

_LONGEST_PAUSE_SECONDS = 30.0
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


class Notice(BaseModel):
    """What people are told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Literal["run failed", "release refused", "canaries failed"]
    text: str
    """All of it in one line; chat services show a field of this name."""
    workspace: str
    job: str
    run_id: str
    """Deliveries that were tried more than once can be told by it."""
    asset: str | None
    """Where it happened; None where a run ended before any asset."""
    reason: str
    release: str | None
    """The release it is about, where it is about one."""
    link: str
    """The run in the Dagster UI."""
    time: datetime


def notice(settings: Settings, **fields: Any) -> Notice:
    """A notice of now, with its link, its line of text, and without secrets.

    Args:
        settings: whose secrets are taken out, and where the UI is.
        fields: those of `Notice`, save text, link and time.
    """
    reason = without_secrets(fields.pop("reason"), settings)
    where = f" in {fields['asset']}" if fields.get("asset") else ""
    about = f" (release {fields['release']})" if fields.get("release") else ""
    return Notice(
        text=f"{fields['workspace']}: {fields['event']}{where}{about}: {reason}",
        reason=reason,
        link=f"{settings.automation.ui_url.rstrip('/')}/runs/{fields['run_id']}",
        time=datetime.now(UTC).replace(microsecond=0),
        **fields,
    )


def tell(settings: Settings, message: Notice, *, wait: "wait_base | None" = None) -> bool:
    """Deliver a notice to the configured webhook; says whether somebody got it.

    Args:
        settings: the address, its time-out and the number of attempts.
        message: what to say.
        wait: pauses between attempts; growing ones with some chance when not given.

    Returns:
        False without a webhook, and where it could not be reached, which is logged.
    """
    import requests
    from tenacity import (
        Retrying,
        retry_if_exception_type,
        stop_after_attempt,
        wait_exponential_jitter,
    )

    automation = settings.automation
    if automation.webhook_url is None:
        return False
    retrying = Retrying(
        stop=stop_after_attempt(automation.webhook_attempts),
        wait=wait or wait_exponential_jitter(initial=1, max=_LONGEST_PAUSE_SECONDS),
        retry=retry_if_exception_type(_TransientError),
        reraise=True,
    )
    body = message.model_dump(mode="json")
    host = urlsplit(automation.webhook_url).hostname
    try:
        retrying(_post, automation.webhook_url, body, automation.webhook_timeout_seconds)
    except (_TransientError, _RefusedError) as error:
        attempts = retrying.statistics["attempt_number"]
        logger.error(
            "the webhook at %s was not told of %r (run %s): %s, %d %s",
            host,
            message.event,
            message.run_id,
            error,
            attempts,
            "attempt" if attempts == 1 else "attempts",
        )
        return False
    except requests.RequestException as error:
        # Its text has the whole address in it.
        kind = type(error).__name__
        logger.error("the webhook at %s cannot be used: %s", host, kind)
        return False
    logger.info("the webhook at %s was told of %r (run %s)", host, message.event, message.run_id)
    return True


def without_secrets(text: str, settings: Settings) -> str:
    """A text with every secret replaced by `…`, those of these settings however short they are."""
    for secret in (settings.index.api_key, settings.automation.webhook_url):
        if secret:
            text = text.replace(secret, "…")
    return secrets.without_secrets(text)


class _TransientError(Exception):
    """May go well another time."""


class _RefusedError(Exception):
    """Would go the same way again."""


def _post(url: str, body: Mapping[str, Any], timeout: float) -> None:
    import requests

    try:
        # Followed, a redirect would carry the notice to whoever it names.
        response = requests.post(url, json=body, timeout=timeout, allow_redirects=False)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _TransientError(type(error).__name__) from None
    if response.status_code in _TRANSIENT:
        raise _TransientError(f"it answered {response.status_code}")
    if not response.ok or response.is_redirect:
        raise _RefusedError(f"it answered {response.status_code}")
