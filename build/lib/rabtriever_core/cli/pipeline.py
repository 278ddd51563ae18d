"""Commands that make something: a workspace, artifacts, a release."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rabtriever_core.cli import completion
from rabtriever_core.cli.application import MAKE, app, examples
from rabtriever_core.cli.options import (
    JsonOption,
    OverridesOption,
    WorkspaceOption,
    print_json,
)
from rabtriever_core.cli.releases import promote_and_say
from rabtriever_core.cli.status import show_status
from rabtriever_core.config.presets import Preset
from rabtriever_core.errors import VersioningError
from rabtriever_core.stages.registry import STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rabtriever_core.workspace import Workspace
    from rabtriever_core.workspace.artifacts import Artifact


@app.command(
    rich_help_panel=MAKE, epilog=examples("rabtriever init", "rabtriever init work --data my-data")
)
def init(
    work: Annotated[Path, typer.Argument(show_default="here")] = Path(),
    data: Annotated[
        Path | None,
        typer.Option(help="Your data in BEIR layout, copied in; the demo set without it."),
    ] = None,
    preset: Annotated[
        Preset,
        typer.Option(
            help="What a new params.yaml starts with: small pretrained models, or a tiny one "
            "that is trained from scratch and needs no download."
        ),
    ] = "pretrained",
    accept_data: Annotated[
        bool, typer.Option("--accept-data", help="Record demo data that differs from data.dvc.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Set up a workspace: settings, data, DVC, and the models that the settings name.

    WORK is created when missing; edited settings are kept. Models are fetched once, as by
    `rabtriever fetch-model`.
    """
    from rabtriever_core.dvc.initialize import init_workspace
    from rabtriever_core.models.fetching import fetch_named

    workspace = init_workspace(work, data, accept_data=accept_data, preset=preset)
    fetch_named(workspace.settings)
    name = workspace.settings.dataset.name
    if as_json:
        print_json({"workspace": str(workspace.root), "dataset": name})
        return
    typer.echo(f"workspace {workspace.root}: data set {name!r}")


@app.command(rich_help_panel=MAKE)
def demo(folder: Annotated[Path, typer.Argument()], as_json: JsonOption = False) -> None:
    """Write the bundled demo data set into FOLDER: an example of the layout."""
    from rabtriever_core.data.demo import write_demo

    write_demo(folder)
    if as_json:
        print_json({"folder": str(folder)})
        return
    typer.echo(f"demo data set: {folder}")


@app.command(
    rich_help_panel=MAKE,
    epilog=examples("rabtriever run all", "rabtriever run student --set student.temperature=2"),
)
def run(
    stage: Annotated[str, typer.Argument(autocompletion=completion.stages)],
    force: Annotated[bool, typer.Option("--force", help="Run although up to date.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would run, and why.")
    ] = False,
    overrides: OverridesOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
    code_version: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run one stage, or all in order.

    STAGE is all, or validated_dataset, backbone, bi_encoder, teacher, student,
    document_embeddings, calibration, qdrant_collection, benchmark_report. What is up to date is
    kept. After all of them the outcome is released, where it passes the gates; exit code 1 where it
    does not, or where the data are unfit for use.
    """
    from rabtriever_core.dvc.pipeline import sync_pipeline
    from rabtriever_core.stages.registry import stage_named
    from rabtriever_core.workspace import Workspace

    stages = STAGES if stage == "all" else (stage_named(stage),)
    opened = Workspace.open(workspace, tuple(overrides or ()))
    if code_version is not None:
        _check_version(opened, stages, code_version)
    else:
        sync_pipeline(opened.root)
    if dry_run:
        show_status(opened, [each.name for each in stages], as_json=as_json)
        return
    done: dict[str, Any] = {"stages": [], "data": None, "release": None}
    for each in stages:
        done["stages"].append(_run_one(opened, each.name, force=force, aside=as_json))
        if each.name == "validated_dataset":
            done["data"] = _data(opened, aside=as_json)
            if done["data"]["broken"]:
                break
    else:
        if stage == "all":
            done["release"] = promote_and_say(opened, aside=as_json)
    if as_json:
        print_json(done)
    if _failed(done):
        raise typer.Exit(1)


def _check_version(workspace: "Workspace", stages: "Sequence[Stage]", version: int) -> None:
    """Refuse to run for a dvc.yaml that another version of this package wrote.

    Raises:
        VersioningError: it says another version of the stage.
    """
    for stage in stages:
        if stage.version != version:
            raise VersioningError(
                f"dvc.yaml of {workspace.root} has {stage.name} at version {version}, this package "
                f"at {stage.version}: `rabtriever status` renews it, then run `dvc repro` again"
            )


@app.command(
    rich_help_panel=MAKE,
    epilog=examples(
        "rabtriever retrain",
        "rabtriever retrain --kind predictor --warm",
        "rabtriever retrain --dry-run",
    ),
)
def retrain(
    kind: Annotated[
        str | None,
        typer.Option(
            help="reindex, predictor or full.",
            show_default="what the data ask for",
            autocompletion=completion.retraining_kinds,
        ),
    ] = None,
    warm: Annotated[
        bool, typer.Option("--warm", help="Start the predictor from the served one.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is needed.")] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Train no more than changed data ask for, and release the outcome where it passes.

    reindex embeds new documents, predictor trains the student on the teacher there is, full trains
    everything (retraining.max_changed_share). What is kept is what the served release has.
    """
    from rabtriever_core.automation.retraining import retrain as train_again
    from rabtriever_core.automation.retraining import retraining_kind
    from rabtriever_core.workspace import Workspace

    wanted = None if kind is None else retraining_kind(kind)
    opened = Workspace.open(workspace)
    done: dict[str, Any] = {"kind": None, "reason": "", "stages": []}
    if dry_run:
        _only_say(opened, done, aside=as_json)
    else:
        outcome = train_again(
            opened,
            wanted,
            warm_start=warm,
            done=lambda stage, artifact: done["stages"].append(
                _say_stage(opened, stage, artifact, aside=as_json)
            ),
        )
        done |= {name: getattr(outcome, name) for name in ("kind", "reason", "seconds", "spared")}
        done |= {"embedded": outcome.embedded, "release": None}
        typer.echo(f"{outcome.kind}: {outcome.reason}", err=as_json)
        if outcome.kind != "none":
            typer.echo(
                f"{sum(outcome.seconds.values()):.1f} s, {outcome.embedded} documents embedded; "
                f"spared {sum(outcome.spared.values()):.1f} s "
                f"({', '.join(outcome.spared) or 'nothing timed'})",
                err=as_json,
            )
            done["release"] = promote_and_say(opened, aside=as_json)
    if as_json:
        print_json(done)
    if _failed(done):
        raise typer.Exit(1)


def _only_say(workspace: "Workspace", done: dict[str, Any], *, aside: bool) -> None:
    """What the data ask for, once they are validated."""
    from rabtriever_core.automation.retraining import needed_now

    done["stages"].append(_run_one(workspace, "validated_dataset", force=False, aside=aside))
    done["data"] = _data(workspace, aside=aside)
    if not done["data"]["broken"]:
        need = needed_now(workspace)
        done |= {"kind": need.kind, "reason": need.reason}
        typer.echo(f"{need.kind}: {need.reason}", err=aside)


def _run_one(workspace: "Workspace", stage: str, *, force: bool, aside: bool) -> dict[str, Any]:
    from rabtriever_core.stages.run import run_stage

    return _say_stage(workspace, stage, run_stage(workspace, stage, force=force), aside=aside)


def _say_stage(
    workspace: "Workspace", stage: str, artifact: "Artifact", *, aside: bool
) -> dict[str, Any]:
    """What came of a stage, as a line (aside: on stderr) and for JSON."""
    from rabtriever_core.data.findings import QUARANTINE, findings

    seconds = None if artifact.reused else workspace.seconds()[stage]
    why = "; ".join(artifact.reasons)
    done = "up to date" if seconds is None else f"built in {seconds:.1f} s ({why})"
    typer.echo(f"{stage}: {done}, {artifact.folder} ({artifact.hash})", err=aside)
    if artifact.reused and stage == "validated_dataset":
        # What is left out stays worth knowing; the validation itself logs it when it runs.
        for line in findings(artifact.meta.metrics, artifact.folder / QUARANTINE):
            typer.echo(f"  {line}", err=aside)
    return {
        "stage": stage,
        "hash": artifact.hash,
        "folder": str(artifact.folder),
        "reused": artifact.reused,
        "seconds": seconds,
        "reasons": list(artifact.reasons),
    }


def _data(workspace: "Workspace", *, aside: bool) -> dict[str, Any]:
    """Whether the validated data are fit for use, and how they differ from the version before."""
    from rabtriever_core.data.findings import broken_rules
    from rabtriever_core.releases.data_changes import compare_versions
    from rabtriever_core.workspace.artifacts import load_artifact

    validated = load_artifact(workspace.artifact("validated_dataset"))
    if not validated.meta.metrics["passed"]:
        said = "; ".join(broken_rules(validated.meta.metrics))
        _red(f"the data set broke: {said}", workspace.validation_page)
        return {"broken": list(validated.meta.metrics["broken"]), "warnings": []}
    verdict = compare_versions(workspace)
    for line in verdict.warnings:
        typer.echo(f"  against the version before: {line}", err=aside)
    if verdict.broken:
        broken_words = ", ".join(verdict.broken)
        _red(f"against the version before, the data broke: {broken_words}", workspace.data_changes)
    return {"broken": list(verdict.broken), "warnings": list(verdict.warnings)}


def _red(text: str, details: Path) -> None:
    typer.secho(text, fg=typer.colors.RED, err=True)
    typer.secho(f"details: {details}", err=True)


def _failed(done: dict[str, Any]) -> bool:
    """Whether the data are unfit, or the release was refused."""
    data, release = done.get("data"), done.get("release")
    return bool(data and data["broken"]) or bool(release and release["decision"] == "refused")
