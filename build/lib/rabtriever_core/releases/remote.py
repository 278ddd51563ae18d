"""DVC's remote: where other machines get the bytes of releases from."""

import json
from collections.abc import Iterable

from rabtriever_core.dvc.recording import in_cache, run_dvc
from rabtriever_core.errors import ReleaseError, VersioningError
from rabtriever_core.releases.log import read_log, retired
from rabtriever_core.releases.record import Release, find_release, read_releases
from rabtriever_core.releases.store import fetch, part_folder
from rabtriever_core.workspace import Workspace


def push(workspace: Workspace, name: str | None = None) -> list[str]:
    """Copy what releases are made of to DVC's default remote; what is there already stays.

    Without a name also the data and artifacts of the last run, so that `dvc pull` finds everything.

    Credentials come from the environment alone (of S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).

    Args:
        workspace: whose releases.
        name: one release; all that were not retired when not given.

    Returns:
        The ids of the releases that are whole in the remote.

    Raises:
        ReleaseError: there is no such release, or it does not get there whole.
    """
    known = read_releases(workspace)
    gone = retired(read_log(workspace))
    wanted = (
        [find_release(known, name)] if name else [r for r in known.values() if r.id not in gone]
    )
    if not wanted:
        raise ReleaseError(
            f"nothing of {workspace.alias!r} to push: `rabtriever run all` builds and releases"
        )
    records = _records(workspace, wanted)
    targets = list(records)
    try:
        # Without a word DVC passes over folders that its cache has lost.
        lost = [
            path.removesuffix(".dvc")
            for path, hash_ in records.items()
            if not in_cache(workspace.root, hash_)
        ]
        if lost:
            for release in wanted:
                fetch(workspace, release)
            run_dvc(workspace.root, "add", *lost)
        run_dvc(workspace.root, "push", *(targets if name else ()))
        # Of files that the cache has lost, it only warns.
        absent = json.loads(run_dvc(workspace.root, "status", "--cloud", "--json", *targets))
    except VersioningError as error:
        raise ReleaseError(
            f"releases cannot be pushed: {error}; `dvc remote list` shows the remotes, `dvc remote "
            "add -d NAME URL` adds one, credentials belong in the environment"
        ) from None
    if absent:
        raise ReleaseError(
            f"in the remote these are missing, and in DVC's cache: {', '.join(sorted(absent))}; "
            "`dvc add` of their folder in releases/store records them again"
        )
    return [release.id for release in wanted]


def _records(workspace: Workspace, releases: Iterable[Release]) -> dict[str, str]:
    """The `.dvc` files of all parts, with the parts' hashes.

    Raises:
        ReleaseError: one is missing.
    """
    records = {}
    for release in releases:
        for part, hash_ in release.parts.items():
            folder = part_folder(workspace, hash_)
            path = folder.with_name(f"{folder.name}.dvc")
            if not path.is_file():
                raise ReleaseError(
                    f"release {release.id} has no record of {part} ({path}): it was retired, or "
                    "its files were not committed to git"
                )
            records[path.relative_to(workspace.root).as_posix()] = hash_
    return records
