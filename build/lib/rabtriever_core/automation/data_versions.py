"""The whole chain over past versions of the data, each in a workspace of its own, side by side.

What is served, and everything else of the workspace, stays as it is: a version is checked out below
`.work`, runs there with the workspace's settings of now, and its collection is built in a local
Qdrant of its own. Finished work is kept there, so that a comparison that was killed goes on, and a
later one with a version more costs that version only.
"""

import configparser
import hashlib
import io
import json
import logging
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from rabtriever_core.dvc.recording import DATA, DATA_FILE, init_dvc, restore_data, run_dvc
from rabtriever_core.errors import ConfigError, RabtrieverError, VersioningError
from rabtriever_core.evaluation.results import Results
from rabtriever_core.releases.record import METRIC
from rabtriever_core.stages.registry import STAGES
from rabtriever_core.stages.run import run_stage
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.atomic import write_json, write_text

logger = logging.getLogger(__name__)

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


class Version(BaseModel):
    """What one version of the data is worth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """As it was asked for: a git revision, or an md5."""
    md5: str
    """Of the raw data, as data.dvc has it."""
    problem: str = ""
    """Why there are no figures; empty where there are."""
    documents: int = 0
    train_queries: int = 0
    quality: dict[str, dict[str, float]] = {}
    """Split → system → MRR@10."""
    queries: dict[str, str] = {}
    """Split → hash of its queries and their right documents: only equal ones compare like with
    like."""
    seconds: float = 0.0
    """Of the run that made it; what was there already took none."""


def measure_versions(workspace: Workspace, names: Sequence[str]) -> list[Version]:
    """Run the chain on versions of the data, in the order given.

    Args:
        workspace: whose data and settings.
        names: git revisions that hold a data.dvc, or md5s that it held.

    Raises:
        ConfigError: no name was given, or DVC does not keep the data.
        VersioningError: a name leads to no version. What goes wrong with a version that is known is
            said in its row, and the next one goes on.
    """
    if not names:
        raise ConfigError("name at least one version of the data: a git revision, or an md5")
    if not workspace.dataset_folder.resolve().is_relative_to(workspace.root / DATA):
        raise ConfigError(
            f"the data lie in {workspace.dataset_folder}, where DVC does not keep them: only data "
            f"below {workspace.root / DATA} have versions"
        )
    md5s = {name: version_md5(workspace.root, name) for name in names}
    return [_measure(workspace, name, md5) for name, md5 in md5s.items()]


def version_md5(root: Path, name: str) -> str:
    """The md5 of the raw data at a git revision; an md5 is its own.

    Raises:
        VersioningError: there is no such revision, or no data.dvc in it.
    """
    import yaml

    if _MD5.fullmatch(name):
        return f"{name.removesuffix('.dir')}.dir"
    git = shutil.which("git")
    shown = (
        subprocess.run(  # noqa: S603 - git itself; the revision is one argument, not an option
            [git, "show", "--end-of-options", f"{name}:./{DATA_FILE}"],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        if git
        else None
    )
    try:
        if shown is None or shown.returncode:
            raise ValueError((shown.stderr if shown else "git is not installed").strip())
        return str(yaml.safe_load(shown.stdout)["outs"][0]["md5"])
    except (ValueError, KeyError, IndexError, TypeError, yaml.YAMLError) as error:
        raise VersioningError(
            f"no {DATA_FILE} at {name!r} in {root}: {' '.join(str(error).split())[:200]}; expected "
            f"a git revision (`git log -- {DATA_FILE}` lists them), or an md5 that it held"
        ) from None


def version_workspace(workspace: Workspace, md5: str) -> Workspace:
    """A workspace with one version of the data checked out, and the settings of now.

    Raises:
        VersioningError: the bytes are neither in DVC's cache nor in a remote.
    """
    root = workspace.work / "data_versions" / md5.removesuffix(".dir")
    index = workspace.settings.index.model_copy(update={"url": None, "api_key": None})
    dataset = workspace.settings.dataset.model_copy(update={"demo": False})
    settings = workspace.settings.model_copy(update={"index": index, "dataset": dataset})
    scratch = Workspace(root, settings)
    root.mkdir(parents=True, exist_ok=True)
    init_dvc(root)
    _share_store(workspace.root, root)
    write_text(root / DATA_FILE, f"outs:\n- md5: {md5}\n  hash: md5\n  path: {DATA}\n")
    restore_data(scratch)
    return scratch


def write_comparison(versions: Sequence[Version], folder: Path) -> Path:
    """Write data_versions.json, .md and .png; returns the JSON's path."""
    from rabtriever_core.report.plot_style import save_png

    path, rows = folder / "data_versions.json", table_rows(versions)
    values = {
        "title": "The student over versions of the data",
        "rows": rows,
        "versions": [version.model_dump(mode="json") for version in versions],
    }
    write_json(path, values)
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    table = "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
    write_text(path.with_suffix(".md"), table + "\n")
    if any(version.quality for version in versions):
        save_png(_figure(versions), path.with_suffix(".png"))
    return path


def table_rows(versions: Sequence[Version]) -> list[dict[str, Any]]:
    """A row per version; figures of other queries than the last version's have a star."""
    last = next((v.queries for v in reversed(versions) if v.queries), {})
    rows = []
    for version in versions:
        row: dict[str, Any] = {
            "version": version.name,
            "data": version.md5[:8],
            "documents": version.documents or "",
            "training queries": version.train_queries or "",
        }
        for split in last:
            value = version.quality.get(split, {}).get("student")
            same = version.queries.get(split) == last[split]
            shown = "" if value is None else f"{value:.4f}{'' if same else ' *'}"
            row[f"{split} {METRIC}"] = shown
        rows.append(row | {"seconds": round(version.seconds), "problem": version.problem})
    return rows


def _measure(workspace: Workspace, name: str, md5: str) -> Version:
    logger.info("data version %s (%s): started", name, md5[:8])
    started = time.perf_counter()
    try:
        scratch = version_workspace(workspace, md5)
        artifacts = {stage.name: run_stage(scratch, stage.name) for stage in STAGES}
        results = Results.read(scratch.reports)
    except RabtrieverError as error:
        logger.error("data version %s (%s): %s", name, md5[:8], error)
        return Version(name=name, md5=md5, problem=str(error))
    found = artifacts["validated_dataset"].meta.metrics
    return Version(
        name=name,
        md5=md5,
        documents=found["documents"],
        train_queries=found["queries"].get(workspace.settings.dataset.train_split, 0),
        quality={
            split: {system: values["metrics"][METRIC] for system, values in each["systems"].items()}
            for split, each in results.benchmark["splits"].items()
        },
        queries={split: _queries_hash(results, split) for split in results.queries},
        seconds=time.perf_counter() - started,
    )


def _queries_hash(results: Results, split: str) -> str:
    asked = sorted((id_, q.text, sorted(q.right)) for id_, q in results.queries[split].items())
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def _share_store(source: Path, target: Path) -> None:
    """Give a DVC project the cache and the remotes of another; relative addresses made absolute."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read([source / ".dvc" / "config", source / ".dvc" / "config.local"], encoding="utf-8")
    for name in settings.sections():
        address = settings[name].get("url")
        if address and "://" not in address and not Path(address).is_absolute():
            settings[name]["url"] = str((source / ".dvc" / address).resolve())
    if not settings.has_section("cache"):
        settings.add_section("cache")
    settings["cache"]["dir"] = str(Path(source, run_dvc(source, "cache", "dir").strip()).resolve())
    # `core` may say that there is git, which here there is not.
    remote = settings.get("core", "remote", fallback=None)
    settings.remove_section("core")
    settings["core"] = {"analytics": "false", "no_scm": "true"}
    if remote:
        settings["core"]["remote"] = remote
    text = io.StringIO()
    settings.write(text)
    # It may hold the remotes' secrets.
    write_text(target / ".dvc" / "config.local", text.getvalue(), private=True)


def _figure(versions: Sequence[Version]) -> Any:
    from rabtriever_core.report.plot_style import (
        EXTRA_COLORS,
        label_axes,
        label_line_ends,
        new_figure,
    )

    figure = new_figure(height=3.4)
    axes = figure.axes[0]
    splits = list(dict.fromkeys(split for version in versions for split in version.quality))
    ends = []
    for position, split in enumerate(splits):
        color = EXTRA_COLORS[position % len(EXTRA_COLORS)]
        points = [
            (number, version.quality[split]["student"])
            for number, version in enumerate(versions)
            if split in version.quality
        ]
        axes.plot(*zip(*points, strict=True), "o-", color=color, linewidth=2)
        ends.append((points[-1][1], split, color))
    axes.set_xticks(range(len(versions)), [version.name[:12] for version in versions])
    axes.tick_params(axis="x", labelrotation=40 if len(versions) > 4 else 0)
    label_axes(axes, x="version of the data", y=f"{METRIC} of the student")
    label_line_ends(axes, len(versions) - 1, ends, gap=0.08)
    return figure
