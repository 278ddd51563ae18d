"""API keys of the query service: only their hashes are stored, each can be revoked."""

import hashlib
import hmac
import secrets
from datetime import datetime

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from rabtriever_core.errors import ConfigError
from rabtriever_core.releases.log import now
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.access import refusal
from rabtriever_core.workspace.atomic import write_json
from rabtriever_core.workspace.encodable import Encodable, encodable

FILE = "api_keys.json"
_PREFIX = "rbt"


class ApiKey(BaseModel):
    """What is kept of a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Its public part."""
    name: Encodable
    """Whose it is."""
    sha256: str
    """Of the whole key. A key is 256 random bits: what makes hashes of passwords slow is for
    secrets that can be guessed."""
    created: datetime
    revoked: datetime | None = None


_KEYS = TypeAdapter(list[ApiKey])


class ApiKeys:
    """The keys of a workspace; a change of their file holds at once, also in a running service."""

    def __init__(self, workspace: Workspace) -> None:
        self.path = workspace.root / FILE
        self._read: tuple[tuple[int, int], list[ApiKey]] | None = None
        self._seen = False

    def all(self) -> list[ApiKey]:
        """Every key there was, oldest first.

        Raises:
            ConfigError: the file is damaged.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return []
        state = status.st_ino, status.st_mtime_ns
        if self._read is None or self._read[0] != state:
            try:
                keys = _KEYS.validate_json(self.path.read_bytes())
            except PermissionError as error:
                raise ConfigError(refusal(error)) from None
            except ValidationError as error:
                raise ConfigError(
                    f"{self.path} is damaged ({error.error_count()} errors): restore it, or delete "
                    "it and make new keys with `rabtriever keys create`"
                ) from None
            self._read = state, keys
        return self._read[1]

    @property
    def required(self) -> bool:
        """Whether a request needs a key: since there was one, revoked or lost as it may be."""
        self._seen = self._seen or self.path.exists()
        return self._seen

    def create(self, name: str) -> str:
        """A new key; this is the only time it can be read.

        Raises:
            ConfigError: the name is empty, or a key in use has it.
        """
        name = encodable(name)
        if not name.strip():
            raise ConfigError("a key needs a name that says whose it is")
        if any(key.name == name and key.revoked is None for key in self.all()):
            raise ConfigError(
                f"there is a key named {name!r}: revoke it first, or name this another"
            )
        id_ = secrets.token_hex(4)
        key = f"{_PREFIX}_{id_}_{secrets.token_urlsafe(32)}"
        self._write([*self.all(), ApiKey(id=id_, name=name, sha256=_hash(key), created=now())])
        return key

    def revoke(self, which: str) -> ApiKey:
        """Refuse a key from now on.

        Args:
            which: its id, or its name; or the key itself.

        Raises:
            ConfigError: no key in use is called so.
        """
        keys, which, digest = self.all(), encodable(which), _hash(which)
        for position, key in enumerate(keys):
            known = which in (key.id, key.name) or hmac.compare_digest(key.sha256, digest)
            if known and key.revoked is None:
                revoked = key.model_copy(update={"revoked": now()})
                self._write([*keys[:position], revoked, *keys[position + 1 :]])
                return revoked
        raise ConfigError(f"no key in use is called {which!r}: `rabtriever keys list` shows them")

    def owner(self, given: str) -> str | None:
        """Whose key this is; None when it is no key, or revoked.

        Compares with every key there is and takes the same time for each.
        """
        digest, owner = _hash(given), None
        for key in self.all():
            if hmac.compare_digest(key.sha256, digest) and key.revoked is None:
                owner = key.name
        return owner

    def _write(self, keys: list[ApiKey]) -> None:
        write_json(self.path, _KEYS.dump_python(keys, mode="json"), private=True)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", errors="replace")).hexdigest()
