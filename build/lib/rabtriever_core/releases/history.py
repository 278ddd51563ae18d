"""Served quality over time: the MRR@10 of every release, in the order they were served."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rabtriever_core.releases.log import SERVING, Event, read_log
from rabtriever_core.releases.record import METRIC, read_releases
from rabtriever_core.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Decision:
    """One decision about a release, with what it measured."""

    number: int
    """Counts the decisions; the order is theirs, whatever a clock said."""
    event: Event
    quality: dict[str, float]
    """Split → MRR@10 of its student, on the data it was made with."""

    @property
    def serves(self) -> bool:
        """Whether the release was the served one from then on."""
        return self.event.action in SERVING


def decisions(workspace: Workspace) -> list[Decision]:
    """Everything that was served or refused, in order; releases without a record are left out.

    Raises:
        ReleaseError: a record or the log is damaged.
    """
    releases = read_releases(workspace)
    events = [event for event in read_log(workspace) if event.action != "retired"]
    return [
        Decision(number, event, releases[event.release].quality)
        for number, event in enumerate(events, 1)
        if event.release in releases
    ]


def quality_figure(found: Sequence[Decision]) -> "Figure":
    """MRR@10 against decisions: a line through what was served, hollow marks for what was refused.

    Values of different data versions were measured on different queries: a step may be the data's.
    """
    from rabtriever_core.report.plot_style import (
        EXTRA_COLORS,
        label_axes,
        label_line_ends,
        new_figure,
    )

    figure = new_figure(height=3.4)
    axes = figure.axes[0]
    splits = list(dict.fromkeys(split for each in found for split in each.quality))
    ends = []
    for split, color in zip(splits, EXTRA_COLORS * (1 + len(splits) // 6), strict=False):
        measured = [each for each in found if split in each.quality]
        served = [(each.number, each.quality[split]) for each in measured if each.serves]
        refused = [(each.number, each.quality[split]) for each in measured if not each.serves]
        if served:
            axes.step(*zip(*served, strict=True), where="post", color=color, linewidth=2)
            axes.plot(*zip(*served, strict=True), "o", color=color)
            ends.append((served[-1][1], split, color))
        if refused:
            axes.plot(*zip(*refused, strict=True), "o", color=color, markerfacecolor="none")
    axes.set_xticks([each.number for each in found], [_label(each.event) for each in found])
    axes.tick_params(axis="x", labelrotation=40 if len(found) > 4 else 0)
    label_axes(axes, y=f"{METRIC} of the student")
    if found and ends:
        label_line_ends(axes, found[-1].number, ends, gap=0.08)
    return figure


def _label(event: Event) -> str:
    name = event.release.partition("-")[0]
    return name if event.action == "promote" else f"{name} {event.action}"
