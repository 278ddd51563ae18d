"""The table of all data sets, for a page that people write around it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rabtriever_core.errors import ArtifactError
from rabtriever_core.lab.ablation.tables import mean_and_sd, table
from rabtriever_core.lab.results.headline import LEVEL, bars, summarized
from rabtriever_core.lab.results.stored import stored_datasets
from rabtriever_core.workspace.atomic import write_text

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def headline_table(summaries: Mapping[str, Any]) -> str:
    """A row per data set and split: MRR@10 of bi-encoder, teacher and student.

    Args:
        summaries: data set → summary, as `summarized` gives it.
    """
    columns = ["data set", "seeds", "bi-encoder", "teacher", "student", "student ÷ teacher"]
    columns += ["teacher − bi-encoder", "student − bi-encoder"]
    rows = []
    for name, summary in summaries.items():
        for split_name, split in summary["splits"].items():
            found, systems = bars(split), split["systems"]
            means = (
                mean_and_sd(systems[s]["MRR@10"]) for s in ("bi_encoder", "teacher", "student")
            )
            rows.append(
                [
                    name if split_name == "test" else f"{name}, {split_name}",
                    str(len(summary["seeds"])),
                    *means,
                    f"{found['ratio']:.3f}",
                    *(_difference(found["against"][s]) for s in ("teacher", "student")),
                ]
            )
    note = f"MRR@10 in percent, mean ± sd over seeds; bold: corrected p < {LEVEL:g}."
    return f"{table(columns, rows)}\n\n{note}"


def _difference(found: Mapping[str, Any]) -> str:
    text = f"{100 * found['difference']:+.1f}"
    return f"**{text}**" if found["clear"] else text


def update_table(folder: Path, page: Path) -> None:
    """Write the table of all stored data sets between the page's marks.

    Raises:
        ArtifactError: the page lacks the marks, or a stored file is damaged.
    """
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ArtifactError(f"{page} has no place for the table: put {BEGIN} and {END} around it")
    found = {name: summarized(results) for name, results in stored_datasets(folder).items()}
    content = f"{before}{BEGIN}\n\n{headline_table(found)}\n\n{END}{after}"
    write_text(page, content)
