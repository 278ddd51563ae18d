"""Dagster's records of a workspace: what runs left behind is cleared away."""

import logging
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._daemon.monitoring import concurrency
from dagster._daemon.monitoring.concurrency import execute_concurrency_slots_iteration

from dagster_project.home import install_dagster_home


def test_the_slot_of_a_run_that_died_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = install_dagster_home(tmp_path / "home")
    pool = "accelerator"

    @dg.job
    def chain() -> None: ...

    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.run_monitoring_enabled
        seconds = instance.run_monitoring_settings["free_slots_after_run_end_seconds"]
        assert seconds == 60
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default(pool)
        dead, next_ = (instance.create_run_for_job(chain, status="STARTED") for _ in range(2))
        assert storage.claim_concurrency_slot(pool, dead.run_id, "teacher").is_claimed
        assert not storage.claim_concurrency_slot(pool, next_.run_id, "teacher").is_claimed
        process: Any = SimpleNamespace(instance=instance)
        now = concurrency.get_current_datetime()

        def monitor(later: int) -> set[str]:
            """Runs that hold a slot once the daemon looked, this much later."""
            moment = now + timedelta(seconds=later)
            monkeypatch.setattr(concurrency, "get_current_datetime", lambda: moment)
            list(execute_concurrency_slots_iteration(process, logging.getLogger()))
            return set(storage.get_concurrency_info(pool).active_run_ids)

        assert monitor(10 * seconds) == {dead.run_id}, "it is still going on"
        instance.report_run_failed(dead, "its process is gone")
        assert monitor(seconds // 2) == {dead.run_id}
        assert monitor(2 * seconds) == set()
        assert storage.claim_concurrency_slot(pool, next_.run_id, "teacher").is_claimed
