"""The fault matrix: which faults are injected into which stages, and where the tests are.

`python -m tests.faults.matrix` prints it; the tests take their parameters from it.
"""

from rabtriever_core.stages import STAGES

STAGE_NAMES = tuple(stage.name for stage in STAGES)
TRAINED = ("backbone", "bi_encoder", "teacher", "student")
RECORD, RELEASE, ROLLBACK, RESTORE, READER = "record", "release", "rollback", "restore", "reader"
TICK, QUEUE = "sensor's tick", "queued run"
COLUMNS = (*STAGE_NAMES, RECORD, RELEASE, ROLLBACK, RESTORE, READER, TICK, QUEUE)

MATRIX: dict[str, tuple[str, ...]] = {
    "kill -9": (*STAGE_NAMES, RECORD, RELEASE, ROLLBACK, RESTORE),
    "full disk": (*STAGE_NAMES, RECORD, RELEASE, ROLLBACK, READER),
    "truncated": (*STAGE_NAMES, RECORD, RELEASE, RESTORE, READER),
    "bit-flipped": (*STAGE_NAMES, RECORD, RELEASE, RESTORE, READER),
    "DVC remote down": (RELEASE, RESTORE, READER),
    "Qdrant down": ("qdrant_collection", "benchmark_report", RELEASE, ROLLBACK, READER),
    "Qdrant dies mid-upload": ("qdrant_collection", ROLLBACK),
    "Qdrant dies mid-switch": (RELEASE, ROLLBACK),
    "two at once": (*STAGE_NAMES, RECORD, RELEASE, ROLLBACK),
    "clock backwards": (*STAGE_NAMES, RECORD, RELEASE, ROLLBACK, READER),
    "run worker killed": ("teacher", RELEASE),
    "daemon killed": ("document_embeddings", RELEASE, READER, TICK, QUEUE),
    "deployment killed": (READER, QUEUE),
}
"""Fault → columns it is injected into. What is empty cannot happen there, or is another cell's."""


def cells(fault: str) -> tuple[str, ...]:
    """The columns of a fault, as a test's parameters."""
    return MATRIX[fault]


def table() -> str:
    """The matrix in Markdown."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for fault, columns in MATRIX.items():
        marks = ["×" if column in columns else " " for column in COLUMNS]
        lines.append(f"| {fault} | " + " | ".join(marks) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201
