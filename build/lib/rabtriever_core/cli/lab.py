"""`rabtriever lab`: experiments, apart from the product. Here: ablations and whole benchmarks."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rabtriever_core.cli.application import MEASURE, app, examples
from rabtriever_core.cli.completion import plans
from rabtriever_core.cli.options import (
    JsonOption,
    OverridesOption,
    ParamsOption,
    SeedsOption,
    print_json,
)
from rabtriever_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rabtriever_core.lab.ablation.plan import Plan
    from rabtriever_core.lab.ablation.runs import PlannedRun

lab_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Experiments: ablations, further baselines, measurements, the results page.",
    epilog=examples(
        "rabtriever lab ablate paper --data my-data --dry-run",
        "rabtriever lab baselines -w work --system kl_bi_encoder",
        "rabtriever lab results docs/results.tar.xz -o page.md",
    ),
)
app.add_typer(lab_app, name="lab", rich_help_panel=MEASURE)


@lab_app.command(
    epilog=examples(
        "rabtriever lab ablate paper --data my-data --seeds 17,18,19 --dry-run",
        "rabtriever lab ablate paper --data my-data --data other-data --out results",
        "rabtriever lab ablate my-plan.yaml --data my-workspace --set runtime.threads=1",
    ),
)
def ablate(
    plan: Annotated[str, typer.Argument(autocompletion=plans)],
    data: Annotated[
        list[Path],
        typer.Option(help="A BEIR folder, or a workspace, whose settings and artifacts are used."),
    ],
    seeds: SeedsOption = "17,18,19",
    work: Annotated[Path, typer.Option(help="Where artifacts are kept and shared.")] = Path(
        "work-ablations"
    ),
    out: Annotated[Path, typer.Option(help="Results go to a folder of the plan's name.")] = Path(
        "ablations"
    ),
    params: ParamsOption = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.NAME=VALUE", help="Override a setting; PLAN wins."),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Runs at a time, each a process with a log in --work.")
    ] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would run.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train and measure the variants of a plan over data sets and seeds.

    PLAN is paper, ours, loss-weight, depth, teacher, teacher-budget, or a YAML file of that kind.
    Finished runs are kept, killed ones resume. Ends with exit code 1 when a run failed.
    """
    from rabtriever_core.lab.ablation.plan import read_plan
    from rabtriever_core.lab.ablation.report import TABLE, write_plan, write_summary
    from rabtriever_core.lab.ablation.runs import planned_runs
    from rabtriever_core.lab.ablation.sources import open_sources
    from rabtriever_core.lab.ablation.sweep import carry_out
    from rabtriever_core.workspace.provenance import command_line

    chosen = read_plan(plan)
    folder = out / chosen.name
    sources = open_sources(data, work, params)
    runs = planned_runs(chosen, sources, _seeds(seeds), tuple(overrides or ()), folder)
    if dry_run:
        _list_runs(chosen, runs, as_json)
        return
    write_plan(chosen, folder)
    failed = carry_out(runs, work, command_line("rabtriever", sys.argv[1:]), jobs=jobs)
    summary = write_summary(chosen, folder) if len(failed) < len(runs) else None
    if as_json:
        print_json({"results": str(folder), "failed": failed, "summary": summary})
    elif summary is not None:
        typer.echo((folder / TABLE).read_text(encoding="utf-8"))
        typer.echo(f"results: {folder}")
    _end(failed)


@lab_app.command(
    epilog=examples(
        "rabtriever lab benchmark --data my-data --data other-data --params results/params.yaml",
        "rabtriever lab benchmark --data my-data --seeds 17 --set benchmark.max_queries=500",
    ),
)
def benchmark(
    data: Annotated[
        list[Path],
        typer.Option(help="A BEIR folder, or a workspace, whose settings and data are used."),
    ],
    seeds: SeedsOption = "17,18,19",
    work: Annotated[Path, typer.Option(help="A workspace for every run goes here.")] = Path(
        "work-benchmark"
    ),
    out: Annotated[Path, typer.Option(help="Where results are stored.")] = Path("results"),
    label: Annotated[
        str,
        typer.Option(help="Store under DATA-LABEL, beside other settings' results."),
    ] = "",
    jobs: Annotated[
        int, typer.Option(min=1, help="Runs at a time, each a process with a run.log.")
    ] = 1,
    params: ParamsOption = None,
    overrides: OverridesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the whole chain over data sets and seeds, and make the results page.

    Numbers and ranks are stored without any text of the data; `rabtriever lab results` makes the
    page from them. Finished stages are kept, killed ones resume. Ends with exit code 1 when a run
    failed.
    """
    from rabtriever_core.lab.ablation.sources import open_sources
    from rabtriever_core.lab.results.chains import run_chains
    from rabtriever_core.lab.results.page import write_page

    sources = open_sources(data, work, params)
    numbers = _seeds(seeds)
    failed = run_chains(sources, numbers, tuple(overrides or ()), work, out, label=label, jobs=jobs)
    page = out.with_suffix(".md") if len(failed) < len(sources) * len(numbers) else None
    if page is not None:
        write_page(out, page)
    if as_json:
        print_json({"results": str(out), "page": page and str(page), "failed": failed})
    elif page is not None:
        typer.echo(f"page: {page}")
    _end(failed)


def _list_runs(plan: "Plan", runs: "Sequence[PlannedRun]", as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for run in runs:
        variant = plan.variants[run.variant]
        rows.append(
            {
                "title": run.title,
                "finished": run.finished(),
                "set": list(variant.set),
                "base": variant.base,
            }
        )
    if as_json:
        print_json({"base": list(plan.base), "runs": rows})
        return
    typer.echo(f"base: {' '.join(plan.base) or 'the settings as they are'}")
    for row in rows:
        state = "finished" if row["finished"] else "to run  "
        words = [*row["set"], *([] if row["base"] else ["(without the base)"])]
        typer.echo(f"{state}  {row['title']}  {' '.join(words)}".rstrip())


def _end(failed: dict[str, str]) -> None:
    for title, reason in failed.items():
        typer.secho(f"failed: {title}: {reason}", fg=typer.colors.RED, err=True)
    if failed:
        raise typer.Exit(1)


def _seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"--seeds {text!r}: expected whole numbers separated by commas, as in 17,18,19"
        ) from None
