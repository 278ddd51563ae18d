"""Plans of a robot, step by step: a goal and what is done, and the skill that comes next.

SayCan's `saycan_plan_v0_l.tsv` and ALFRED's `traj_data.json` become the same task.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rabtriever_core.data.dataset import Document
from rabtriever_core.data.importers.examples import Example, LeftOut, Source
from rabtriever_core.data.importers.tables import Table
from rabtriever_core.errors import DatasetError

TRAJECTORY = "traj_data.json"
_STEP = re.compile(r"\d+\.\s*(.+?)\s*(?:,\s*(?=\d+\.)|\.?\s*$)")
_PLAN = re.compile(r"\s*1\.\s*\S.*")
_CLASS_NAME = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*")
_SKILLS = {
    "GotoLocation": "Go to the {0}.",
    "PickupObject": "Pick up the {0}.",
    "PutObject": "Put the {0} in or on the {1}.",
    "ToggleObject": "Switch the {0} on or off.",
    "SliceObject": "Slice the {0}.",
    "CleanObject": "Clean the {0}.",
    "HeatObject": "Heat the {0}.",
    "CoolObject": "Cool the {0}.",
}


def is_saycan(table: Table) -> bool:
    """Whether a table has instructions and numbered plans in its two columns, and no others."""
    return len(table.columns) == 2 and all(
        _PLAN.fullmatch(str(list(row.values())[-1])) for _, row in table.rows
    )


def read_saycan(table: Table) -> Source:
    """Examples from instructions with plans: `1. find an apple, 2. pick up the apple`."""
    source = Source("SayCan: instructions with plans", notes=[*table.notes])
    source.left_out += table.left_out
    for place, row in table.rows:
        goal, plan = (str(value).strip() for value in list(row.values())[:2])
        steps = _STEP.findall(plan)
        if not goal or not steps:
            source.left_out.append(LeftOut(place, "it has no instruction, or no numbered steps"))
        source.examples += _next_steps(place, goal, steps, group=goal)
    return source


def read_alfred(folder: Path) -> Source:
    """Examples from all trajectories below a folder: goals as people wrote them, planned skills.

    The folders train, valid_seen and valid_unseen become train, dev and test.

    Raises:
        DatasetError: a file is no trajectory; names it.
    """
    source = Source("ALFRED: goals with planned skills")
    files = sorted(folder.rglob(TRAJECTORY))
    read = {path.relative_to(folder): _trajectory(path) for path in files}
    names = {name.lower(): _words(name) for one in read.values() for name in _class_names(one)}
    for path, trajectory in read.items():
        split = next((part for part in path.parts if part in ("train", "valid_seen")), "")
        split = split or "valid_unseen" * ("valid_unseen" in path.parts)
        try:
            goals = [ann["task_desc"] for ann in trajectory["turk_annotations"]["anns"]]
            steps = [
                _skill(step["discrete_action"], names) for step in trajectory["plan"]["high_pddl"]
            ]
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            source.left_out.append(LeftOut(str(path), f"it has no annotated plan ({error!r})"))
            continue
        for number, goal in enumerate(goals, start=1):
            place = f"{path}, annotation {number}"
            done = [step for step in steps if step]
            source.examples += _next_steps(place, goal.strip(), done, str(path.parent), split)
    return source


def _next_steps(
    place: str, goal: str, steps: Sequence[str], group: str, split: str = ""
) -> Iterator[Example]:
    """An example for every step: what comes next when those before it are done."""
    for number, step in enumerate(steps):
        done = "; ".join(f"{n}. {text.rstrip('.')}" for n, text in enumerate(steps[:number], 1))
        query = f"Goal: {goal} Done so far: {done or 'nothing yet'}."
        document = Document("", step)
        yield Example(
            f"{place}, step {number + 1}", query, ((document, 1),), split=split, group=group
        )


def _trajectory(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(value, dict):
        raise DatasetError(f"{path}: expected an object, got {value!r:.80}")
    return value


def _skill(action: dict[str, Any], names: dict[str, str]) -> str:
    """A planned action as a sentence; empty for the end of a plan."""
    if action["action"] in ("NoOp", "End"):
        return ""
    return _SKILLS[action["action"]].format(*(names.get(arg, arg) for arg in action["args"]))


def _class_names(trajectory: dict[str, Any]) -> set[str]:
    """Names such as AlarmClock, which arguments of actions have in small letters."""
    parts = [trajectory.get("pddl_params"), trajectory.get("scene")]
    parts += [
        step.get("planner_action") for step in trajectory.get("plan", {}).get("high_pddl", [])
    ]
    return set(_CLASS_NAME.findall(json.dumps(parts)))


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
