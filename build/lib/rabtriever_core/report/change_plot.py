"""A picture of what changed between two versions of the data."""

from pathlib import Path
from typing import TYPE_CHECKING

from rabtriever_core.config import ChangesConfig
from rabtriever_core.data.changes import Changes
from rabtriever_core.report.plot_style import COLORS, INK, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def change_figure(changes: Changes, scores: float | None, config: ChangesConfig) -> "Figure":
    """Every share and drift as a bar, its bound as a stroke; above the bound in another colour."""
    rows = [
        *(
            (f"{table} removed", rows.removed_share, config.max_removed_share)
            for table, rows in changes.rows.items()
        ),
        *((f"{k}: lengths", v, config.max_length_drift) for k, v in changes.lengths.items()),
        *((f"{k}: words", v, config.max_word_drift) for k, v in changes.words.items()),
        *((f"{k}: new words", v, config.max_unseen_share) for k, v in changes.unseen.items()),
        ("labels", changes.labels, config.max_label_drift),
        ("right documents", changes.answers, config.max_label_drift),
    ]
    if scores is not None:
        rows.append(("served scores", scores, config.max_score_drift))
    figure = new_figure(height=0.9 + 0.32 * len(rows))
    axes = figure.axes[0]
    axes.grid(visible=False)
    for place, (_, value, bound) in enumerate(rows):
        color = COLORS["student"] if value > bound else COLORS["teacher"]
        axes.barh(place, value, color=color, height=0.6)
        axes.plot([bound, bound], [place - 0.4, place + 0.4], color=INK, linewidth=1.5)
        axes.text(max(value, bound) + 0.01, place, f"{value:.3f}", va="center", color=INK)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1)
    label_axes(axes, x="share or drift; the stroke is the bound")
    return figure


def plot_changes(changes: Changes, scores: float | None, config: ChangesConfig, path: Path) -> None:
    """Write the figure as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    change_figure(changes, scores, config).savefig(path)
