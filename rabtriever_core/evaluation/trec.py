"""Rankings in TREC's run format, as every evaluation tool reads and writes them."""

import math
from pathlib import Path

from rabtriever_core.errors import DatasetError
from rabtriever_core.evaluation.metrics import Run, ranking
from rabtriever_core.workspace.atomic import write_text


def read_trec_run(path: Path) -> Run:
    """Anyone's rankings: `query Q0 document rank score tag`, one document a line.

    As trec_eval does, documents are ordered by score alone, equal ones by descending id; the scores
    that are given are places, negated.

    Raises:
        DatasetError: a line is malformed, or there is none; names file and line.
    """
    import ir_measures

    scores: dict[str, dict[str, float]] = {}
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):  # noqa: B007 - the error names it
                for row in ir_measures.read_trec_run(f"{line}\n"):
                    if not math.isfinite(row.score):
                        raise ValueError(f"the score is {row.score}")
                    scores.setdefault(row.query_id, {})[row.doc_id] = row.score
    except FileNotFoundError:
        raise DatasetError(f"there is no file {path}") from None
    except ValueError as error:
        raise DatasetError(
            f"{path}, line {number}: expected `query Q0 document rank score tag` separated by "
            f"spaces ({error})"
        ) from None
    if not scores:
        raise DatasetError(f"{path} holds no rankings")
    return {
        query: {
            document: -float(place)
            for place, document in enumerate(
                sorted(found, key=lambda d: (found[d], d), reverse=True), 1
            )
        }
        for query, found in scores.items()
    }


def write_trec_run(path: Path, run: Run, tag: str) -> None:
    """Write rankings; the scores are places counted from the end, so that none are equal.

    Args:
        path: of the file.
        run: the rankings.
        tag: names them; without white space.

    Raises:
        DatasetError: an id holds white space, which parts the format's columns.
    """
    lines = []
    for query, scores in run.items():
        for place, document in enumerate(ranking(scores), 1):
            if spaced := [id_ for id_ in (query, document) if id_.split() != [id_]]:
                raise DatasetError(
                    f"the id {spaced[0]!r} is empty or holds white space, which parts the columns "
                    "of a TREC run: rename it"
                )
            score = len(scores) - place + 1
            lines.append(f"{query} Q0 {document} {place} {score} {tag}\n")
    write_text(path, "".join(lines))
