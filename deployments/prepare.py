"""Prepare a workspace for a deployment; run again, it changes only what differs.

    python -m deployments.prepare WORKSPACE [--data FOLDER] [--bucket BUCKET]

Makes WORKSPACE a workspace (as `rabtriever init`), puts Dagster's settings into its
`.dagster_home`, and with --bucket makes s3://BUCKET DVC's default remote. The S3 store and its
credentials come from AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import argparse
import os
import sys
from pathlib import Path

from dagster_project.home import TEMPLATE
from rabtriever_core.config.secrets import checked_address, stripped_environment, without_secrets
from rabtriever_core.dvc.initialize import init_workspace
from rabtriever_core.dvc.recording import run_dvc
from rabtriever_core.errors import ConfigError, RabtrieverError
from rabtriever_core.workspace.access import become_somebody, in_one_line
from rabtriever_core.workspace.atomic import write_text

HOME = ".dagster_home"
STORAGE = Path(__file__).with_name("dagster-storage.yaml")
REMOTE = "store"


def prepare(root: Path, data: Path | None = None, bucket: str | None = None) -> Path:
    """Prepare a workspace; returns its DAGSTER_HOME.

    Args:
        root: the workspace; created when missing.
        data: a folder in BEIR layout that is copied into it; the demo set without one.
        bucket: of the S3 store; created when missing. DVC's remotes stay as they are without it.

    Raises:
        RabtrieverError: as `init_workspace`, or the store cannot be used.
    """
    workspace = init_workspace(root, data)
    if bucket is not None:
        use_bucket(workspace.root, bucket)
    return install_home(workspace.root / HOME)


def install_home(home: Path) -> Path:
    """Make a folder a Dagster instance that keeps its records in PostgreSQL.

    An edited dagster.yaml stays, as long as it names a storage.

    Raises:
        ConfigError: the one that is there keeps records in files (`make run`, `make dev`).
    """
    import yaml

    home.mkdir(parents=True, exist_ok=True)
    target = home / TEMPLATE.name
    if not target.exists() or target.read_text("utf-8") == TEMPLATE.read_text("utf-8"):
        write_text(target, TEMPLATE.read_text("utf-8") + "\n" + STORAGE.read_text("utf-8"))
    elif "storage" not in yaml.safe_load(target.read_text("utf-8")):
        raise ConfigError(
            f"{target} was edited and names no `storage`: add that of {STORAGE}, or delete it"
        )
    return home


def use_bucket(root: Path, bucket: str) -> None:
    """Make a bucket DVC's default remote; credentials stay in the environment.

    Raises:
        ConfigError: the store cannot be reached, or refuses.
        VersioningError: DVC failed.
    """
    import s3fs
    from botocore.exceptions import BotoCoreError, ClientError

    os.environ.update(stripped_environment())
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    try:
        checked_address(endpoint or "")
        store = s3fs.S3FileSystem(endpoint_url=endpoint)
        if not store.exists(bucket):
            store.mkdir(bucket)
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        where = without_secrets(f"{endpoint or 'AWS'} cannot be used ({error})")
        raise ConfigError(
            f"bucket {bucket!r} of {where}: check AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        ) from error
    run_dvc(root, "remote", "add", "--force", "--default", REMOTE, f"s3://{bucket}/rabtriever")
    if endpoint:
        run_dvc(root, "remote", "modify", REMOTE, "endpointurl", endpoint)


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--data", type=Path, help="your data in BEIR layout; the demo without it")
    parser.add_argument("--bucket", help="of the S3 store that becomes DVC's default remote")
    arguments = parser.parse_args()
    become_somebody()
    try:
        home = prepare(arguments.workspace, arguments.data, arguments.bucket)
    except (RabtrieverError, OSError) as error:
        sys.exit(f"error: {in_one_line(error) or error}")
    sys.stdout.write(f"prepared: {home.parent}\n")


if __name__ == "__main__":
    main()
