"""The compose file: valid, pinned, without root, and every name in it exists."""

import fnmatch
import http.server
import re
import subprocess
import sys
import threading
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deployments import prepare
from deployments.native.stack import HOST, PORTS, commands
from rabtriever_core.config import load_settings
from rabtriever_core.config.params_file import default_settings, params_yaml
from rabtriever_core.workspace import VARIABLE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deployments" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
NATIVE = {
    "code-location": "code",
    "webserver": "webserver",
    "daemon": "daemon",
    "query": "query",
}
"""Service → the process of `make stack`, which a test really runs."""


def environment() -> dict[str, str]:
    """What our services get, with every password `secret`."""
    values = OURS["query"]["environment"]
    return {
        name: re.sub(r"\$\{\w+:\?[^}]*\}", "secret", str(value)) for name, value in values.items()
    }


def validated(path: Path) -> int:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run([*command, str(path)], check=False, capture_output=True).returncode


def test_it_is_a_compose_file(tmp_path: Path) -> None:
    assert validated(FOLDER / "compose.yaml") == 0
    broken = {"services": {"query": {"image": "x", "helthcheck": {}}}}
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(broken))
    assert validated(tmp_path / "compose.yaml") == 1


def test_every_part_of_a_deployment_is_there() -> None:
    assert set(SERVICES) == set(NATIVE) | {"postgres", "qdrant", "s3", "s3-volume", "prepare"}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_nothing_runs_as_root(name: str) -> None:
    service = SERVICES[name]
    if name in OURS:
        dockerfile = (FOLDER / "Dockerfile").read_text()
        assert re.findall(r"^USER (\S+)", dockerfile, re.M)[-1] == "10001:10001"
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"]
    else:
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d+[.-]\d+", tag), service["image"]
        assert service.get("user") or tag.endswith("-unprivileged")
    for line in (FOLDER / "Dockerfile").read_text().splitlines():
        if line.startswith("FROM"):
            assert re.match(r"FROM python:\d+\.\d+\.\d+-slim-bookworm\b", line)


def test_everything_that_stays_up_has_a_health_check_and_restarts() -> None:
    for name, service in SERVICES.items():
        once = service["restart"] == "no"
        assert once == (name in ("prepare", "s3-volume"))
        assert once != ("healthcheck" in service), name


def test_services_wait_for_what_exists() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            ends = SERVICES[other]["restart"] == "no"
            expected = "service_completed_successfully" if ends else "service_healthy"
            assert how["condition"] == expected, (name, other)


def test_volumes_are_declared_and_used() -> None:
    used = {volume.partition(":")[0] for s in SERVICES.values() for volume in s["volumes"]}
    assert used == set(COMPOSE["volumes"])


def test_the_example_holds_every_variable_and_no_other() -> None:
    text = (FOLDER / "compose.yaml").read_text()
    wanted = set(re.findall(r"\$\{(\w+)", text))
    lines = (FOLDER / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(given) == wanted
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert {name for name in given if not given[name]} == required | {"TORCH_INDEX_URL"}
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/deployments/compose/.env" in ignored
    for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", text):
        assert given[name] == default


def test_commands_are_those_that_the_native_stack_runs() -> None:
    native = commands(Path("/workspace"), PORTS)
    for service, process in NATIVE.items():
        found = [
            "/workspace/.dagster_home/workspace.yaml"
            if part == "deployments/compose/workspace.yaml"
            else HOST
            if part == "0.0.0.0"  # noqa: S104 - inside a container
            else part
            for part in SERVICES[service]["command"]
            if part != "--without-keys"  # an outer address inside the container alone
        ]
        assert found == native[process]


def test_prepare_is_called_as_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    python, flag, module, *arguments = SERVICES["prepare"]["command"]
    assert (python, flag, module) == ("python", "-m", prepare.__name__)
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    monkeypatch.setattr(prepare, "prepare", lambda *given: seen.append(given) or Path("/x/y"))
    prepare.main()
    assert seen == [(Path("/workspace"), None, "${S3_BUCKET:-rabtriever}")]


def test_variables_reach_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = environment()
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "params.yaml").write_text(params_yaml(default_settings()))
    index = load_settings(tmp_path / "params.yaml").index
    assert (index.url, index.api_key) == ("http://qdrant:6333", "secret")
    assert values[VARIABLE] == "/workspace"
    assert values["DAGSTER_HOME"] == f"/workspace/{prepare.HOME}"
    storage = yaml.safe_load(prepare.STORAGE.read_text())["storage"]["postgres"]
    assert storage["postgres_url"]["env"] in values


def test_addresses_are_those_of_the_services() -> None:
    values, postgres = environment(), SERVICES["postgres"]["environment"]
    url = urlsplit(values["DAGSTER_POSTGRES_URL"])
    assert url.scheme == "postgresql+psycopg2"
    assert (url.hostname, url.port, url.username) == ("postgres", 5432, postgres["POSTGRES_USER"])
    assert url.path == f"/{postgres['POSTGRES_DB']}"
    s3 = urlsplit(values["AWS_ENDPOINT_URL"])
    assert s3.hostname in SERVICES
    assert SERVICES["s3"]["command"][-2:] == ["--address", f":{s3.port}"]
    (server,) = yaml.safe_load((FOLDER / "workspace.yaml").read_text())["load_from"]
    assert server["grpc_server"]["host"] in SERVICES
    for name in NATIVE:
        service = SERVICES[name]
        if name == "daemon":
            continue
        port = service["command"][service["command"].index("--port") + 1]
        assert re.search(rf"\b{port}\b", " ".join(service["healthcheck"]["test"]))
        for published in service.get("ports", []):
            assert re.fullmatch(rf"127\.0\.0\.1:\$\{{\w+:-{port}\}}:{port}", published)
    assert str(server["grpc_server"]["port"]) in SERVICES["code-location"]["command"]


def test_the_qdrant_image_fits_the_client() -> None:
    image = re.search(r":v(\d+)\.(\d+)\.\d+-", SERVICES["qdrant"]["image"])
    assert image is not None
    client = [int(part) for part in metadata.version("qdrant-client").split(".")[:2]]
    assert int(image[1]) == client[0]
    assert abs(int(image[2]) - client[1]) <= 1


@pytest.mark.parametrize("status", [200, 503])
def test_the_health_check_of_qdrant_reads_the_answer(status: int) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kind, *command = SERVICES["qdrant"]["healthcheck"]["test"]
    assert kind == "CMD"
    here = [part.replace("6333", str(server.server_port)) for part in command]
    finished = subprocess.run(here, check=False, timeout=10)
    server.shutdown()
    server.server_close()
    assert (finished.returncode == 0) == (status == 200)


def test_the_image_is_built_from_what_exists() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text()
    build = OURS["query"]["build"]
    assert (FOLDER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    assert set(build["args"]) == set(re.findall(r"^ARG (\w+)", dockerfile, re.M))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert re.findall(r"torch==\S+", dockerfile) == [
        each for each in project["optional-dependencies"]["models"] if each.startswith("torch")
    ]
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", dockerfile)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    allowed = [
        line[1:]
        for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.M):
        for source in line.split():
            assert (ROOT / source).exists()
            assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed), source
