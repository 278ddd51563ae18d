"""The year itself: what happens in every month, and what must be true at its end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rabtriever_core.dvc.initialize import init_workspace
from rabtriever_core.evaluation.results import Results
from rabtriever_core.index.connection import connect
from rabtriever_core.releases.log import SERVING, read_log
from rabtriever_core.releases.record import Release, read_releases
from rabtriever_core.releases.remeasure import measured, remeasured
from rabtriever_core.releases.served import what_is_served
from rabtriever_core.releases.store import check
from rabtriever_core.workspace import Workspace
from tests.year.plot import draw
from tests.year.settings import SHORT, TINY, WORSE, write_settings
from tests.year.versions import DAMAGED, write_versions

WORSE_MONTH, KILLED_IN_TRAINING, KILLED_IN_PROMOTION, ROLLED_BACK = 6, 3, 9, 10
PATIENCE_SECONDS = 600.0


class Year:
    """Twelve months in one workspace."""

    def __init__(self, data: Path, work: Path, *, tiny: bool = False) -> None:
        self.data, self.work, self.tiny = data, work, tiny
        self.root = work / "workspace"
        self.months: list[dict[str, Any]] = []

    @property
    def workspace(self) -> Workspace:
        """With the settings it has now."""
        return Workspace.open(self.root)

    def run(self) -> int:
        """Live through it; exit code 1 where something that must hold does not."""
        if self.root.exists():
            raise SystemExit(f"{self.root} is there already: name a new folder")
        began = time.monotonic()
        versions = write_versions(self.data, self.work / "versions")
        init_workspace(self.root, versions[0], preset="tiny")
        write_settings(self.workspace, TINY if self.tiny else SHORT)
        stop, answers = self.work / "stop", self.work / "answers.jsonl"
        client: subprocess.Popen[bytes] | None = None
        try:
            for month, folder in enumerate(versions, 1):
                self._month(month, folder)
                if client is None and self.months[-1]["served"]:
                    command = [sys.executable, "-m", "tests.year.client"]
                    client = subprocess.Popen([*command, self.root, answers, stop])
        finally:
            stop.touch()
            if client is not None:
                client.wait(timeout=PATIENCE_SECONDS)
        rows = [json.loads(line) for line in answers.read_text().splitlines()]
        problems = self._problems(rows)
        seconds = round(time.monotonic() - began)
        found = {
            "data": self.data.name,
            "seconds": seconds,
            "months": self.months,
            "client": _summary(rows),
            "problems": problems,
        }
        (self.work / "year.json").write_text(json.dumps(found, indent=2) + "\n")
        draw(self.months, self.work / "year.png")
        self._say(found)
        return 1 if problems else 0

    def _month(self, month: int, folder: Path) -> None:
        """Bring in the month's data and retrain; note what came of it."""
        began, before = time.monotonic(), self._served()
        init_workspace(self.root, folder)
        flags: list[str] = []
        notes = [DAMAGED[month]] if month in DAMAGED else []
        if month == WORSE_MONTH:
            notes.append("models that were not trained")
            for setting in WORSE:
                flags += ["--set", setting]
        if month == KILLED_IN_TRAINING:
            notes.append("killed in training, run again")
            work = self.root / ".work"
            self._killed(lambda: any(work.glob("teacher/*/checkpoints/**/md5s.json")))
        if month == KILLED_IN_PROMOTION:
            notes.append("killed in its promotion, run again")
            known = set(self._records())
            self._killed(lambda: set(self._records()) != known)
        code, output = self._command("run", "all", *flags)
        after = self._served()
        outcome = "validation stopped it" if month in DAMAGED else "no release"
        releases = read_releases(self.workspace)
        made = [r for r in releases.values() if r.id not in {m.get("made") for m in self.months}]
        candidate = made[-1] if made and month not in DAMAGED else None
        if candidate is not None:
            outcome = "promoted" if after == candidate.id else "refused"
        row: dict[str, Any] = {
            "month": month,
            "exit code": code,
            "outcome": outcome,
            "notes": notes,
            "made": candidate.id if candidate else None,
            "served before": before,
            "served": after,
            "said": output.strip().splitlines()[-1][:300] if output.strip() else "",
        }
        if candidate is not None:
            row |= self._quality(candidate, releases, before, after)
        if month == ROLLED_BACK:
            notes.append("rolled back by hand")
            self._command("releases", "rollback", "--by", "eve", "--reason", "complaints")
            row["served"] = self._served()
            if candidate is not None:
                row |= self._quality(candidate, releases, before, row["served"])
        row["seconds"] = round(time.monotonic() - began, 1)
        self.months.append(row)
        sys.stdout.write(
            f"month {month:2}: {outcome}, serves {row['served']}, {row['seconds']} s\n"
        )
        sys.stdout.flush()

    def _quality(
        self, candidate: Release, known: dict[str, Release], before: str | None, served: str | None
    ) -> dict[str, Any]:
        """MRR@10 on this month's test queries: of candidate, served before, and served now."""
        workspace = self.workspace
        report = check(workspace, candidate, ("benchmark_report",))["benchmark_report"]
        results = Results.read(report)
        own = measured(results)
        found: dict[str, Any] = {"queries": {s: len(v) for s, v in own.items()}}
        found["candidate"] = _mean(own)
        for name, id_ in {"before": before, "quality": served}.items():
            if id_ == candidate.id:
                found[name] = found["candidate"]
            elif id_ is not None:
                found[name] = _mean(remeasured(workspace, known[id_], candidate, results))
        return found

    def _killed(self, reached: Callable[[], bool]) -> None:
        """Start the run and kill it with SIGKILL when it has got somewhere."""
        process = self._start("run", "all")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the run ended before it could be killed")
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _start(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "rabtriever_core.cli", *arguments]
        log = (self.work / "log.txt").open("a")
        return subprocess.Popen(
            [*command, "-w", str(self.root)],
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _command(self, *arguments: str) -> tuple[int, str]:
        start = (self.work / "log.txt").stat().st_size if (self.work / "log.txt").exists() else 0
        process = self._start(*arguments)
        code = process.wait()
        with (self.work / "log.txt").open("rb") as file:
            file.seek(start)
            return code, file.read().decode(errors="replace")

    def _records(self) -> list[str]:
        return [path.name for path in (self.root / "releases").glob("*.json")]

    def _served(self) -> str | None:
        workspace = self.workspace
        if not workspace.settings.index.url and not workspace.qdrant.is_dir():
            return None
        index = workspace.settings.index
        with connect(index, workspace.qdrant, lock_seconds=PATIENCE_SECONDS) as client:
            found = what_is_served(client, workspace.alias)
        return found.release if found else None

    def _problems(self, answers: list[dict[str, Any]]) -> list[str]:
        """What must hold and does not."""
        problems = []
        largest = self.workspace.settings.gates.max_loss
        for row in self.months:
            served_now = row.get("quality"), row.get("before")
            # Going back by hand is a person's decision, which no gate holds back.
            by_gate = row["month"] != ROLLED_BACK and None not in served_now
            if by_gate and row["quality"] < row["before"] - largest - 1e-9:
                problems.append(f"month {row['month']}: served MRR@10 fell by more than {largest}")
            if row["month"] in DAMAGED and (row["exit code"] == 0 or row["made"]):
                problems.append(f"month {row['month']}: damaged data went through")
            if row["month"] == WORSE_MONTH and row["outcome"] != "refused":
                problems.append("the models that were not trained were not refused")
            moved = row["outcome"] == "promoted" or row["month"] == ROLLED_BACK
            if not moved and row["served"] != row["served before"]:
                problems.append(f"month {row['month']}: another release is served")
            if row["outcome"] == "no release":
                problems.append(f"month {row['month']}: no release was made: {row['said']}")
        errors = [row["error"] for row in answers if "error" in row]
        mixed = [row for row in answers if not row.get("own", True)]
        if errors:
            problems.append(f"the client met {len(errors)} errors, first: {errors[0]}")
        if mixed:
            problems.append(f"{len(mixed)} answers mix releases, first: {mixed[0]}")
        seen = list(dict.fromkeys(row["release"] for row in answers if "release" in row))
        events = [e for e in read_log(self.workspace) if e.action in SERVING]
        strangers = set(seen) - {event.release for event in events}
        if strangers:
            problems.append(f"answers of releases that were never served: {sorted(strangers)}")
        if not answers:
            problems.append("the client got no answer")
        if not any(event.action == "rollback" for event in events):
            problems.append("nothing was rolled back")
        return problems

    def _say(self, found: dict[str, Any]) -> None:
        _, table = self._command("releases", "list")
        client = found["client"]
        sys.stdout.write(
            f"\n{table}\n{client['answers']} answers of {len(client['releases'])} releases, "
            f"{client['errors']} errors, {client['mixed']} mixed; a query took "
            f"{client['median_seconds']} s (median), {client['longest_seconds']} s at most, of "
            f"which {client['longest_wait']} s waiting for the index folder\n"
            f"{found['seconds']} s; {self.work / 'year.json'}, {self.work / 'year.png'}\n"
        )
        for problem in found["problems"]:
            sys.stdout.write(f"PROBLEM: {problem}\n")


def _mean(values: dict[str, dict[str, float]]) -> float:
    flat = [value for rows in values.values() for value in rows.values()]
    return round(sum(flat) / len(flat), 6)


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    answered = [row for row in rows if "release" in row]
    seconds = sorted(row["seconds"] for row in answered) or [0.0]
    return {
        "answers": len(answered),
        "errors": len(rows) - len(answered),
        "mixed": sum(not row["own"] for row in answered),
        "releases": list(dict.fromkeys(row["release"] for row in answered)),
        "median_seconds": seconds[len(seconds) // 2],
        "longest_seconds": seconds[-1],
        "longest_wait": max((row["waited"] for row in answered), default=0.0),
    }
