"""The code location of a deployment: `python -m dagster_project.code_location --port 4000`.

It starts the processes of its runs. Nobody else notices that they are gone once it was killed
together with them (a machine that went down): so it ends such runs before it becomes
`dagster api grpc`. They would be in progress for ever, and all others wait in the queue.
"""

import os
import sys
from pathlib import Path

from dagster_project.home import end_dead_runs


def main() -> None:
    """Pass all arguments on."""
    for run in end_dead_runs(Path(os.environ["DAGSTER_HOME"])):
        sys.stderr.write(f"run {run} was killed before it ended: marked as failed\n")
    server = ["dagster", "api", "grpc", "--module-name", "dagster_project.definitions"]
    command = [sys.executable, "-m", *server, *sys.argv[1:]]
    os.execv(sys.executable, command)  # noqa: S606 - our own command line


if __name__ == "__main__":
    main()
