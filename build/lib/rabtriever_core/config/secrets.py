"""Keys, passwords and addresses that hold one: checked without being shown, taken out of texts.

Our own messages never name a secret. What other libraries say of a failure may, so whatever of
theirs is passed on goes through `without_secrets`.
"""

import os
import re
from urllib.parse import urlsplit

SECRETS = frozenset({"api_key", "webhook_url"})
"""Settings whose values are never shown."""

# Of the environment: a key of Qdrant, of an S3 store, of a model hub, a database's address, …
_VARIABLES = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|WEBHOOK_URL|POSTGRES_URL|CONNECTION_STRING)$", re.IGNORECASE
)
_SHORTEST = 8
"""Characters; anything shorter occurs in every text."""
# Of an address: `//user:password@`. And a key of our own query service.
_USERINFO = re.compile(r"(?<=//)[^/?#\s@]+@")
_OWN_KEY = re.compile(r"\brbt_[0-9a-f]{8}_[\w-]{43}")

_known: set[str] = set()


def keep_secret(value: str) -> None:
    """Take a value out of every text from now on."""
    if len(value) >= _SHORTEST:
        _known.add(value)


def without_secrets(text: str) -> str:
    """A text with every secret of settings and environment in it replaced by `…`."""
    environment = {value.strip() for name, value in os.environ.items() if _VARIABLES.search(name)}
    found = {value for value in environment if len(value) >= _SHORTEST} | _known
    for secret in sorted(found, key=len, reverse=True):  # one may be the start of another
        text = text.replace(secret, "…")
    return _OWN_KEY.sub("rbt_…", _USERINFO.sub("…@", text))


def stripped_environment() -> dict[str, str]:
    """Variables that hold secrets, or say where they are for, without white space around them.

    For other programs, which would send the line end of a mounted secret with it.
    """
    return {
        name: value.strip()
        for name, value in os.environ.items()
        if name.startswith("AWS_") or _VARIABLES.search(name)
    }


def checked_key(value: str) -> str:
    """A key that a request's header can carry, without the white space around it.

    Raises:
        ValueError: a character is not printable ASCII; says which, without the key.
    """
    for position, character in enumerate(value, 1):
        if not "!" <= character <= "~":
            raise ValueError(
                f"character {position} of the key is U+{ord(character):04X}, which no key has: set "
                "it anew, without quotes and in one line"
            )
    return value


def checked_address(value: str) -> str:
    """An address that is no secret: without a user name, a password, or what follows a `?`.

    Raises:
        ValueError: it holds one of them; says so without the address.
    """
    try:
        parts = urlsplit(value if "//" in value else f"//{value}")
    except ValueError as error:
        raise ValueError(f"not an address ({error})") from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "an address holds no user name, no password and nothing after its path: keys belong "
            "in the environment (QDRANT_API_KEY)"
        )
    return value
