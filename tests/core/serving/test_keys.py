"""API keys: several, revocable, stored as hashes; and how the service asks for them."""

import json
import logging
import stat
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from typer.testing import CliRunner

from rabtriever_core.cli import app
from rabtriever_core.config import Settings
from rabtriever_core.errors import ConfigError
from rabtriever_core.releases.promotion import promote
from rabtriever_core.serving.app import create_app
from rabtriever_core.serving.keys import FILE, ApiKeys
from rabtriever_core.serving.server import Listening, serve
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.encodable import encodable
from tests.core.any_text import any_text
from tests.core.releases.conftest import Make

QUERY = {"query": "tell 7", "k": 1}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "params.yaml").write_text("{}")
    return Workspace(tmp_path, Settings())


def test_keys_are_made_known_and_revoked(workspace: Workspace) -> None:
    keys = ApiKeys(workspace)
    assert not keys.required
    ana, bob = keys.create("ana"), keys.create("bob")
    elsewhere = ApiKeys(workspace)  # a service that runs
    assert elsewhere.required
    assert (elsewhere.owner(ana), elsewhere.owner(bob)) == ("ana", "bob")
    for wrong in ("", "rbt_", ana[:-1], ana + "x", ana.upper(), bob[:12] + ana[12:], "ü" * 50):
        assert elsewhere.owner(wrong) is None
    keys.revoke("ana")
    assert (elsewhere.owner(ana), elsewhere.owner(bob)) == (None, "bob")
    keys.revoke(elsewhere.all()[1].id)
    assert elsewhere.owner(bob) is None
    assert elsewhere.required
    (workspace.root / FILE).unlink()
    assert elsewhere.required, "a lost file opens nothing"
    assert elsewhere.owner(bob) is None


def test_the_file_holds_no_key_and_is_its_owners(workspace: Workspace) -> None:
    key = ApiKeys(workspace).create("ana")
    path = workspace.root / FILE
    assert key not in path.read_text()
    assert key.split("_", 2)[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_names_are_used_once_at_a_time(workspace: Workspace) -> None:
    keys = ApiKeys(workspace)
    keys.create("ana")
    with pytest.raises(ConfigError, match="'ana'"):
        keys.create("ana")
    with pytest.raises(ConfigError, match="needs a name"):
        keys.create("  ")
    keys.revoke("ana")
    keys.create("ana")
    with pytest.raises(ConfigError, match="'eve'"):
        keys.revoke("eve")


def test_a_damaged_file_is_said_and_opens_nothing(workspace: Workspace) -> None:
    (workspace.root / FILE).write_text('[{"id": "x"}]')
    with pytest.raises(ConfigError, match="damaged"):
        ApiKeys(workspace).all()
    with TestClient(create_app(workspace)) as client:
        answer = client.post("/v1/search", json=QUERY, headers={"X-API-Key": "rbt_x"})
        assert (answer.status_code, answer.json()["detail"]) == (
            503,
            "the service is not set up correctly: see its log",
        )


def test_requests_need_a_key_once_there_is_one(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = make()
    promote(workspace, by="ana")
    with TestClient(create_app(workspace)) as client, caplog.at_level(logging.DEBUG):
        assert client.post("/v1/search", json=QUERY).status_code == 200
        key = ApiKeys(workspace).create("ana")
        for path in ("/v1/search", "/v1/search/batch", "/v1/rerank", "/v1/embed"):
            refused = client.post(path, json=QUERY)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/release").status_code == 401
        assert client.get("/metrics").status_code == 401
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            assert client.post("/v1/search", json=QUERY, headers=headers).status_code == 200
        wrong = {"Authorization": f"Bearer {key[:-2]}"}
        assert client.post("/v1/search", json=QUERY, headers=wrong).status_code == 401
        ApiKeys(workspace).revoke("ana")
        last = {"X-API-Key": key}
        assert client.post("/v1/search", json=QUERY, headers=last).status_code == 401
    logged = [str(vars(record)) for record in caplog.records]
    assert any("'key': 'ana'" in line for line in logged)
    assert not any(key.split("_", 2)[2][:20] in line for line in logged)


def test_others_are_not_let_in_by_mistake(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0 can be reached by others.*keys create"):
        serve(workspace, Listening("0.0.0.0", 0))  # noqa: S104


def test_command_line(workspace: Workspace) -> None:
    def rabtriever(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["keys", *arguments, "-w", str(workspace.root)])
        assert result.exit_code == code, result.output
        return result.output

    key = rabtriever("create", "mobile app").strip()
    assert ApiKeys(workspace).owner(key) == "mobile app"
    assert "in use" in rabtriever("list")
    (shown,) = json.loads(rabtriever("list", "--json"))
    assert set(shown) == {"id", "name", "created", "revoked"}
    rabtriever("revoke", shown["id"])
    assert "revoked" in rabtriever("list")
    assert "no key in use" in rabtriever("revoke", "mobile app", code=2)


@hypothesis_settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=any_text.filter(lambda text: bool(text.strip())))
def test_a_key_of_any_name_is_read_back_and_revoked(name: str, workspace: Workspace) -> None:
    (workspace.root / FILE).unlink(missing_ok=True)
    keys = ApiKeys(workspace)
    key = keys.create(name)
    assert ApiKeys(workspace).owner(key) == encodable(name)
    assert keys.revoke(name).name == encodable(name)
    assert keys.owner(key) is None


def test_a_key_itself_is_revoked_without_being_shown(workspace: Workspace) -> None:
    key = ApiKeys(workspace).create("ana")
    command = ["keys", "revoke", key, "-w", str(workspace.root)]
    assert CliRunner().invoke(app, command).output.endswith(" ana\n")
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2
    assert key not in again.output
    assert "no key in use is called" in again.stderr


def test_metrics_may_be_open_although_keys_are_in_use(make: Make) -> None:
    workspace = make(serving={"open_metrics": True})
    promote(workspace, by="ana")
    ApiKeys(workspace).create("ana")
    with TestClient(create_app(workspace)) as client:
        assert "rabtriever_release 1.0" in client.get("/metrics").text
        assert client.post("/v1/search", json=QUERY).status_code == 401
