"""The store of what releases are made of: `releases/store/<md5>/`, and `<md5>.dvc` beside it.

Parts are named by content, so releases share what they have in common. The `.dvc` files are kept by
git; they are what brings a part back on another machine (`dvc pull`), and what keeps `dvc gc` from
collecting it. Folders are complete or not there: they are copied elsewhere, checked, then renamed.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from rabtriever_core.dvc.recording import run_dvc
from rabtriever_core.errors import ArtifactError, ReleaseError, VersioningError
from rabtriever_core.releases.record import Release, releases_folder
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import folder_hash


def part_folder(workspace: Workspace, hash_: str) -> Path:
    """Where the part with a content hash lies."""
    return releases_folder(workspace) / "store" / hash_.removesuffix(".dir")


def put(workspace: Workspace, sources: Mapping[str, tuple[str, Path]]) -> None:
    """Copy artifacts into the store and record them in DVC; what is there already stays.

    Args:
        workspace: whose store.
        sources: part → (its content hash, its folder).

    Raises:
        ArtifactError: a folder no longer has that content.
        VersioningError: DVC failed.
    """
    added = []
    for name, (hash_, source) in sources.items():
        folder = part_folder(workspace, hash_)
        record = folder.with_name(f"{folder.name}.dvc")
        if not is_whole(workspace, hash_):
            _copy(workspace, name, source, hash_)
            added.append(folder)
        elif not record.is_file():
            added.append(folder)
    if added:
        run_dvc(workspace.root, "add", *_relative(workspace, added))


def is_whole(workspace: Workspace, hash_: str) -> bool:
    """Whether a part is in the store, byte for byte."""
    folder = part_folder(workspace, hash_)
    return folder.is_dir() and folder_hash(folder) == hash_


def fetch(workspace: Workspace, release: Release) -> list[str]:
    """Bring missing and damaged parts of a release back from DVC's cache or remote.

    Returns:
        The names of these parts.

    Raises:
        ReleaseError: DVC has no record of a part, or neither cache nor remote has its bytes.
    """
    wanted = [name for name, hash_ in release.parts.items() if not is_whole(workspace, hash_)]
    if not wanted:
        return []
    folders = [part_folder(workspace, release.parts[name]) for name in wanted]
    records = [folder.with_name(f"{folder.name}.dvc") for folder in folders]
    absent = [
        f"{name} ({path})" for name, path in zip(wanted, records, strict=True) if not path.is_file()
    ]
    if absent:
        raise ReleaseError(
            f"release {release.id} cannot be brought back: no record of {', '.join(absent)}; "
            "it was retired, or its files were not committed to git"
        )
    targets = _relative(workspace, records)
    try:
        run_dvc(workspace.root, "checkout", "--force", *targets)
    except VersioningError:
        # Not in the cache of this machine.
        try:
            run_dvc(workspace.root, "pull", "--force", *targets)
        except VersioningError as error:
            raise ReleaseError(
                f"release {release.id} cannot be brought back: {', '.join(wanted)} neither in "
                f"DVC's cache nor in a remote (`dvc remote list`): {error}"
            ) from None
    for name in wanted:
        if not is_whole(workspace, release.parts[name]):
            raise ReleaseError(
                f"release {release.id}: DVC brought back another {name} than recorded "
                f"({release.parts[name]}): its cache is damaged, `dvc fetch` restores it from a "
                "remote"
            )
    return wanted


def check(workspace: Workspace, release: Release, parts: Iterable[str]) -> dict[str, Path]:
    """Folders of some parts of a release, every byte checked.

    Raises:
        ReleaseError: one is missing or damaged.
    """
    broken = [name for name in parts if not is_whole(workspace, release.parts[name])]
    if broken:
        raise ReleaseError(
            f"release {release.id} is not complete on this machine: {', '.join(broken)} missing or "
            f"damaged in {part_folder(workspace, '')}; `rabtriever releases restore {release.id}` "
            "or `dvc pull` brings them back"
        )
    return {name: part_folder(workspace, release.parts[name]) for name in parts}


def sweep(workspace: Workspace, kept: Iterable[str]) -> list[str]:
    """Remove all parts but those with the kept hashes; returns the names of the removed."""
    names = {part_folder(workspace, hash_).name for hash_ in kept}
    store = part_folder(workspace, "")
    found = {path.name.removesuffix(".dvc") for path in store.glob("[0-9a-f]*")}
    gone = sorted(found - names)
    records = [store / f"{name}.dvc" for name in gone if (store / f"{name}.dvc").is_file()]
    if records:
        run_dvc(workspace.root, "remove", *_relative(workspace, records))
    for name in gone:
        shutil.rmtree(store / name, ignore_errors=True)
    return gone


def _copy(workspace: Workspace, name: str, source: Path, hash_: str) -> None:
    folder = part_folder(workspace, hash_)
    scratch = workspace.work / "release" / folder.name
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    try:
        # A copy, not a link: what happens to the artifact must not reach what is served.
        shutil.copytree(source, scratch)
        if folder_hash(scratch) != hash_:
            raise ArtifactError(
                f"{source} changed while it was released: it should be {hash_} of {name}; run the "
                "stage again, then release"
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch.rename(folder)
    finally:
        # Of a copy that failed; on a full disk it takes the room that the next one needs.
        shutil.rmtree(scratch, ignore_errors=True)


def _relative(workspace: Workspace, paths: Iterable[Path]) -> list[str]:
    return [path.relative_to(workspace.root).as_posix() for path in paths]
