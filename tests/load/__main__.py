"""Load on the query service of a released workspace: `make load WORK=my-work`.

Closed loops of 1, 8, 32 and 128 clients; micro-batching against one query at a time, in turns;
a queue that is too short for its clients; a rollback and a promotion under load; Qdrant killed and
started again; memory over time.
Every ranking that was answered is held against what the library gives for that release. Writes
WORK/measurements/load.json and .png; ends with 1 where anything is not as it should be.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rabtriever_core.data.dataset import read_dataset
from rabtriever_core.releases.promotion import rollback
from rabtriever_core.releases.table import rows as release_rows
from rabtriever_core.serving.retriever import Retriever
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.provenance import commit, machine, versions
from tests.faults.injection import free_port, qdrant
from tests.load.plot import draw
from tests.load.service import Running, locust, serving

LEVELS = (1, 8, 32, 128)
K = 5


class Load:
    """One measurement."""

    def __init__(self, workspace: Workspace, scratch: Path, seconds: float, port: int) -> None:
        self.workspace, self.scratch, self.seconds, self.port = workspace, scratch, seconds, port
        with Retriever.open(workspace) as retriever:
            release = retriever.release
        texts = read_dataset(workspace.artifact("validated_dataset"), release.dataset).queries
        self.texts = sorted(texts.values())[:: max(1, len(texts) // 200)][:200]
        self.queries = scratch / "queries.json"
        self.queries.write_text(json.dumps(self.texts))
        self.expected: dict[str, dict[str, list[str]]] = {}
        self.wrong: list[str] = []
        self._number = 0
        self.learn()

    def learn(self) -> str:
        """What the library answers from the release that is served now."""
        with Retriever.open(self.workspace) as retriever:
            answers = retriever.search_batch(self.texts, K)
        release = answers[0].release.id
        self.expected[release] = {
            text: [hit.document_id for hit in answer]
            for text, answer in zip(self.texts, answers, strict=True)
        }
        return release

    def start(self, service: Running, clients: int, seconds: float) -> tuple[Any, Path]:
        """Clients in a process of their own, and where they write what they saw."""
        self._number += 1
        out = self.scratch / f"{self._number}.json"
        return locust(service.url, self.queries, out, clients, seconds), out

    def ended(self, process: Any, out: Path) -> dict[str, Any]:
        """What they saw; every ranking is compared."""
        process.wait()
        seen: dict[str, Any] = json.loads(out.read_text())
        for release, text, ranking, count in seen.pop("answers"):
            if self.expected.get(release, {}).get(text) != ranking:
                self.wrong.append(f"{count} × {release}: {text[:60]!r} → {ranking}")
        return seen

    def measure(self, service: Running, clients: int, seconds: float = 0) -> dict[str, Any]:
        """So many clients for so long."""
        return self.ended(*self.start(service, clients, seconds or self.seconds))

    def serving(
        self, offset: int = 0, environment: dict[str, str] | None = None, **settings: object
    ) -> Any:
        """A service with these settings."""
        log = self.scratch / "service.log"
        return serving(self.workspace.root, self.port + offset, log, environment, **settings)


def levels(load: Load) -> list[dict[str, Any]]:
    """Throughput and response time by clients."""
    found = []
    with load.serving() as service:
        load.measure(service, 8, 3)  # the first answers open what is opened once
        for clients in tqdm(LEVELS, desc="clients"):
            seen = load.measure(service, clients)
            found.append({"clients": clients, **_row(seen), "rss MiB": service.rss_mib()})
    return found


def batching(load: Load, clients: int = 32, rounds: int = 3) -> dict[str, Any]:
    """Micro-batching against one query at a time, in turns so that both meet the same noise."""
    pairs = []
    with load.serving() as together, load.serving(1, max_batch=1) as alone:
        for service in (together, alone):
            load.measure(service, 8, 3)
        for _ in tqdm(range(rounds), desc="batching"):
            a, b = (load.measure(service, clients) for service in (together, alone))
            pairs.append((a["per_second"], b["per_second"]))
    ratios = [a / b for a, b in pairs]
    return {
        "clients": clients,
        "per second together": [round(a, 1) for a, _ in pairs],
        "per second alone": [round(b, 1) for _, b in pairs],
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
    }


def overload(load: Load, clients: int = 128) -> dict[str, Any]:
    """More clients than may wait."""
    with load.serving(max_waiting=16) as service:
        seen = load.measure(service, clients)
        after = load.measure(service, 1, 3)
    return {"clients": clients, "max_waiting": 16, **_row(seen), "after": _row(after)}


def swap(load: Load, clients: int = 8) -> dict[str, Any]:
    """Rollback and promotion while clients ask; needs two releases that can be served."""
    others = [
        row.release.id
        for row in release_rows(load.workspace)
        if row.state == "retired" or (row.state != "refused" and not row.served)
    ]
    first = next(iter(load.expected))
    if not others:
        return {"skipped": "there is no other release to roll back to"}
    rollback(load.workspace, others[-1], by="load", reason="under load")
    load.learn()
    rollback(load.workspace, first, by="load", reason="under load")
    with load.serving() as service:
        process, out = load.start(service, clients, 6 + 2 * load.seconds)
        steps = []
        time.sleep(3)
        for target in (others[-1], first):
            rollback(load.workspace, target, by="load", reason="under load")
            began = time.monotonic()
            while service.get("/v1/release")[1].get("id") != target:
                assert time.monotonic() < began + 60, f"{target} is never served"
                time.sleep(0.05)
            steps.append({"to": target, "seconds": round(time.monotonic() - began, 2)})
            time.sleep(load.seconds / 2)
        seen = load.ended(process, out)
    return {"clients": clients, "steps": steps, **_row(seen)}


def outage(load: Load, clients: int = 8) -> dict[str, Any]:
    """Qdrant killed and started again while clients ask (the REST stand-in: no server is packaged).

    Raises:
        AssertionError: there are no answers before, no 503 meanwhile, or no answers after.
    """
    storage = load.scratch / "qdrant"
    shutil.copytree(load.workspace.qdrant, storage, ignore=shutil.ignore_patterns("*.lock"))
    port = free_port()
    server = ExitStack()
    server.enter_context(qdrant(storage, port))
    with server, load.serving(environment={"QDRANT_URL": f"http://127.0.0.1:{port}"}) as service:
        process, out = load.start(service, clients, 4 + load.seconds)
        time.sleep(2 + load.seconds / 4)
        server.close()  # SIGKILL
        time.sleep(2 + load.seconds / 4)
        with qdrant(storage, port):
            seen = load.ended(process, out)
            after = load.measure(service, 1, 3)
    statuses = set(seen["statuses"])
    assert statuses == {"200", "503"}, seen["statuses"]
    assert set(after["statuses"]) == {"200"}, after["statuses"]
    return {"clients": clients, **_row(seen), "after": _row(after)}


def soak(load: Load, seconds: float, clients: int = 32) -> dict[str, Any]:
    """Memory over time."""
    samples = []
    with load.serving() as service:
        process, out = load.start(service, clients, seconds)
        with tqdm(total=round(seconds), desc="soak", unit="s") as bar:
            began = time.monotonic()
            while process.poll() is None:
                samples.append([round(time.monotonic() - began, 1), service.rss_mib()])
                bar.update(round(time.monotonic() - began) - bar.n)
                time.sleep(min(5.0, seconds / 20))
        seen = load.ended(process, out)
    return {"clients": clients, "seconds": seconds, **_row(seen), "rss": samples}


def _row(seen: dict[str, Any]) -> dict[str, Any]:
    return {
        "requests": seen["requests"],
        "failures": seen["failures"],
        "statuses": seen["statuses"],
        "per second": round(seen["per_second"], 1),
        **{f"p{share} ms": round(value, 1) for share, value in seen["ms"].items()},
        **({"errors": seen["errors"]} if seen["errors"] else {}),
    }


def main() -> int:
    """The command line above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workspace", type=Path, help="a workspace with a served release")
    parser.add_argument("--seconds", type=float, default=20, help="of each level (20)")
    parser.add_argument(
        "--soak", type=float, default=0, help="seconds of the memory test (0: none)"
    )
    parser.add_argument("--port", type=int, default=8140)
    given = parser.parse_args()
    workspace = Workspace.open(given.workspace)
    with tempfile.TemporaryDirectory() as scratch:
        load = Load(workspace, Path(scratch), given.seconds, given.port)
        parts: dict[str, Any] = {"levels": levels(load), "batching": batching(load)}
        parts |= {"overload": overload(load), "swap": swap(load), "outage": outage(load)}
        if given.soak:
            parts["soak"] = soak(load, given.soak)
    content = {
        "title": "Query service under load",
        "note": "Closed loops on loopback; clients and service share the machine's cores.",
        "command": f"python -m tests.load WORK --seconds {given.seconds:g} --soak {given.soak:g}",
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
        "rows": parts["levels"],
        "parts": parts,
        "wrong": load.wrong,
    }
    out = workspace.measurements
    out.mkdir(parents=True, exist_ok=True)
    (out / "load.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draw(parts, out / "load.png")
    failed = sum(part.get("failures", 0) for part in [*parts["levels"], *parts.values()]
                 if isinstance(part, dict))  # fmt: skip
    print(json.dumps(parts, indent=2))  # noqa: T201 - the result
    print(f"{failed} failures, {len(load.wrong)} wrong rankings; {out / 'load.json'}")  # noqa: T201
    return int(bool(failed or load.wrong))


if __name__ == "__main__":
    sys.exit(main())
