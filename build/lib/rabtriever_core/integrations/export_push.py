"""An export on the Hugging Face hub: a repository for each of its parts."""

from collections.abc import Iterable
from pathlib import Path

from rabtriever_core.errors import ConfigError, ReleaseError


def repository(hub_id: str, part: str) -> str:
    """Where a part goes: libraries open whole repositories, no folders in them."""
    return f"{hub_id}-{part}"


def check_hub_id(hub_id: str, parts: Iterable[str]) -> None:
    """Check a name before anything is computed.

    Raises:
        ConfigError: the hub has no such names.
    """
    for part in parts:
        if problem := problem_of_name(repository(hub_id, part)):
            raise ConfigError(f"--push {hub_id!r} names no repository ({problem}): give OWNER/NAME")


def problem_of_name(name: str) -> str | None:
    """Why the hub has no repository of a name; None where it may have."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        return " ".join(str(error).split())
    return None


def push_export(folder: Path, parts: Iterable[str], hub_id: str, message: str) -> list[str]:
    """Upload what an export holds; repositories that are not there are made, and are private.

    The token is the one that `hf auth login` stored, or HF_TOKEN.

    Args:
        folder: of the export.
        parts: its folders.
        hub_id: OWNER/NAME, which the repositories' names begin with.
        message: of the commits.

    Returns:
        The repositories' addresses.

    Raises:
        ReleaseError: the hub refuses, or does not answer; the export stays where it is.
    """
    from huggingface_hub import HfApi

    api, addresses = HfApi(), []
    for part in parts:
        wanted = repository(hub_id, part)
        try:
            made = api.create_repo(wanted, private=True, exist_ok=True)
            api.upload_folder(
                repo_id=made.repo_id, folder_path=folder / part, commit_message=message
            )
        except Exception as error:  # of whatever HTTP library the hub's client uses
            raise ReleaseError(
                f"{wanted} was not pushed ({type(error).__name__}: "
                f"{' '.join(str(error).split())[:300]}); {folder} is complete: `hf auth login` or "
                "HF_TOKEN says who you are, then export again"
            ) from None
        addresses.append(str(made))
    return addresses
