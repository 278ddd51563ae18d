"""A PostgreSQL cluster of a workspace's own, from the machine's packages, on loopback."""

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from rabtriever_core.errors import ConfigError
from rabtriever_core.workspace.atomic import write_text

USER = "dagster"
_DEBIAN = Path("/usr/lib/postgresql")
# PostgreSQL refuses to run as root; this account comes with Debian's package.
_ACCOUNT = "postgres"
_START_SECONDS = 60


class Cluster:
    """Its files, and its process while it runs."""

    def __init__(self, workspace: Path, port: int) -> None:
        """Starts nothing.

        Args:
            workspace: keeps the password and the files in its `.dagster_home`; for root the files
                are in the home of the account `postgres`, which cannot enter every folder.
            port: on 127.0.0.1.

        Raises:
            ConfigError: PostgreSQL is not installed.
        """
        self.port = port
        self.binaries = _find_binaries()
        self._as_root = os.geteuid() == 0
        self._password_file = workspace / ".dagster_home" / "postgres-password"
        if self._as_root:
            name = hashlib.sha256(str(workspace).encode()).hexdigest()[:12]
            self.folder = Path(_account().pw_dir) / f"rabtriever-{name}"
        else:
            self.folder = workspace / ".dagster_home" / "postgres"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of its process."""
        if self._process is None:
            raise RuntimeError("the cluster is not started")
        return self._process.pid

    @property
    def url(self) -> str:
        """With the password: for the environment of our own processes."""
        password = self._password_file.read_text(encoding="utf-8").strip()
        return f"postgresql+psycopg2://{USER}:{password}@127.0.0.1:{self.port}/postgres"

    def start(self, log: Path) -> None:
        """Create the cluster where there is none, start it, and wait until it answers.

        Raises:
            ConfigError: it does not start; names its log.
        """
        if not self.folder.is_dir():
            self._create()
        elif not self._password_file.is_file():
            raise ConfigError(
                f"{self.folder} holds the records of an older workspace of this place, and its "
                f"password is gone ({self._password_file}): delete it to begin anew"
            )
        settings = ("-p", str(self.port), "-h", "127.0.0.1", "-c", "unix_socket_directories=")
        with log.open("ab") as file:
            self._process = subprocess.Popen(  # noqa: S603 - PostgreSQL itself, fixed commands
                self._owned("postgres", "-D", str(self.folder), *settings),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the supervisor, which stops it last.
                start_new_session=True,
            )
        ready = [str(self.binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + _START_SECONDS
        while subprocess.run(ready, check=False).returncode:  # noqa: S603 - as above
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ConfigError(f"PostgreSQL does not start on port {self.port}: see {log}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End its process, its files complete (a "fast" shutdown)."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def _create(self) -> None:
        # Elsewhere and then renamed: what is there is whole.
        fresh = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        write_text(self._password_file, secrets.token_hex(16), private=True)
        with tempfile.NamedTemporaryFile() as given:
            given.write(self._password_file.read_bytes())
            given.flush()
            if self._as_root:
                os.chown(given.name, _account().pw_uid, _account().pw_gid)
            arguments = (f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={given.name}")
            made = subprocess.run(  # noqa: S603 - as above
                self._owned("initdb", "-D", str(fresh), "--encoding=UTF8", *arguments),
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
            )
        if made.returncode:
            raise ConfigError(f"initdb failed for {fresh}: {made.stderr.strip()}")
        fresh.rename(self.folder)

    def _owned(self, program: str, *arguments: str) -> list[str]:
        """A command, run by an account that PostgreSQL accepts."""
        command = [str(self.binaries / program), *arguments]
        if not self._as_root:
            return command
        return ["setpriv", f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--init-groups", *command]


def _find_binaries() -> Path:
    """The newest version that is installed, or the one on PATH."""
    found = [path for path in _DEBIAN.glob("*/bin") if (path / "initdb").is_file()]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    on_path = shutil.which("initdb")
    if on_path is None:
        raise ConfigError(
            "PostgreSQL is not installed: `apt-get install postgresql` (its service is not used)"
        )
    return Path(on_path).resolve().parent


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_ACCOUNT)
    except KeyError:
        raise ConfigError(
            f"PostgreSQL refuses to run as root, and there is no account {_ACCOUNT!r}: run as "
            "another user"
        ) from None
