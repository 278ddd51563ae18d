"""Stored results as one file: a .tar.xz of the folder's numbers and notes.

The same results give the same bytes on every machine. Plots and tables stay out: the page makes
them again.
"""

import io
import lzma
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rabtriever_core.errors import ArtifactError
from rabtriever_core.lab.results.stored import NOTE

SUFFIX = ".tar.xz"


def is_archive(path: Path) -> bool:
    """Whether results lie, or are to lie, in one file."""
    return path.name.endswith(SUFFIX)


@contextmanager
def opened(stored: Path, *, change: bool = False) -> Iterator[Path]:
    """The folder of stored results, for as long as the context lasts.

    Args:
        stored: the folder itself, or an archive, which is unpacked elsewhere.
        change: pack the archive anew at the end; there may be none yet.

    Raises:
        ArtifactError: there is no such archive, or it is damaged.
    """
    if not is_archive(stored):
        yield stored
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if stored.is_file() or not change:
            _unpack(stored, folder)
        yield folder
        if change:
            pack(folder, stored)


def pack(folder: Path, archive: Path) -> None:
    """Write the archive of a folder, replacing the one before in one step."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            if path.suffix != ".json" and path.name != NOTE:
                continue
            # Nothing of this machine or moment: no owner, no time.
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_name(f".{archive.name}.unfinished")
    unfinished.write_bytes(lzma.compress(content.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    unfinished.replace(archive)


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive, "r:xz") as tar:
            tar.extractall(folder, filter="data")
    except FileNotFoundError:
        raise ArtifactError(
            f"no {archive}: `rabtriever lab results {archive} --add WORKSPACE` begins one"
        ) from None
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise ArtifactError(
            f"{archive} is damaged ({error}): restore it with `git checkout -- {archive.name}`"
        ) from None
