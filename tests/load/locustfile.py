"""Clients that ask as fast as they are answered; run by `python -m tests.load`.

Every answer is kept as (release, query, ranking), so that answers which mix releases are found.
"""

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant, events, task

QUERIES: list[str] = json.loads(Path(os.environ["LOAD_QUERIES"]).read_text())
OUT = Path(os.environ["LOAD_OUT"])

answers: Counter[str] = Counter()
statuses: Counter[str] = Counter()
failures: Counter[str] = Counter()
"""Ours: a connection that is refused is not among locust's."""


class Application(FastHttpUser):
    """One client in a closed loop."""

    wait_time = constant(0)
    network_timeout = connection_timeout = 30.0

    @task
    def search(self) -> None:
        """Ask for one of the queries."""
        text = random.choice(QUERIES)  # noqa: S311 - which one does not matter
        body = {"query": text, "k": 5}
        with self.client.post("/v1/search", json=body, catch_response=True) as response:
            status = response.status_code
            statuses[str(status)] += 1
            if status == 200:
                found = response.json()
                ranking = [hit["document_id"] for hit in found["hits"]]
                answers[json.dumps([found["release"], text, ranking])] += 1
                response.success()
            elif status in (429, 503) and "retry-after" in response.headers:
                response.success()
            else:
                failures[f"{status}: {str(response.text)[:200]}"] += 1
                response.failure(str(status))


@events.quitting.add_listener
def write(environment: Any, **_: Any) -> None:
    """What was seen, for who started this."""
    total = environment.stats.total
    OUT.write_text(
        json.dumps(
            {
                "requests": sum(statuses.values()),
                "failures": sum(failures.values()),
                "errors": failures,
                "per_second": total.total_rps,
                "ms": {
                    str(share): total.get_response_time_percentile(share / 100)
                    for share in (50, 95, 99)
                },
                "statuses": statuses,
                "answers": [[*json.loads(key), count] for key, count in answers.items()],
            }
        )
    )
