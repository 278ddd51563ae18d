"""`runtime.precision: auto` does what the machine is fast at, and nothing that rounds vectors."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rabtriever_core.config import RuntimeConfig
from rabtriever_core.models import precision
from rabtriever_core.models.backbone import Backbone, pick_device
from rabtriever_core.models.precision import (
    precision_of,
    rounding_of,
    rounds_products,
    trains_mixed,
)
from tests.core.small import small_backbone, small_dataset

AUTO = RuntimeConfig(threads=1, device="cpu")
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def measured_anew() -> Iterator[None]:
    precision._bfloat16_pays.cache_clear()
    yield
    precision._bfloat16_pays.cache_clear()


@pytest.mark.parametrize(
    ("faster", "mixed"), [(5.0, True), (1.6, True), (1.2, False), (1.0, False), (0.03, False)]
)
def test_bfloat16_where_it_is_clearly_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any, faster: float, mixed: bool
) -> None:
    monkeypatch.setattr(precision, "_times_as_fast", lambda width: faster)
    small_backbone(small_dataset()).save(tmp_path)
    with caplog.at_level(logging.INFO, "rabtriever_core"):
        backbone, again = (Backbone.load(tmp_path, AUTO) for _ in range(2))
        # Who only asks trains nothing, and is told nothing.
        assert not caplog.records
        assert backbone.mixed_precision == again.mixed_precision == mixed
    # Said once, with the number that it rests on.
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"is {faster:.1f} times as fast here" in said
    # What is stored is computed as ever.
    assert backbone.model.dtype == torch.float32 and backbone.rounding == 0
    assert torch.get_float32_matmul_precision() == "highest"
    rows = [[5, 6, 7], [8]]
    with torch.inference_mode():
        exact = small_backbone(small_dataset()).last_states(rows)
        assert torch.equal(backbone.last_states(rows), exact)
        backbone.model.train()
        assert torch.equal(backbone.last_states(rows), exact) != mixed


def test_the_measurement_itself_takes_no_time_worth_the_name() -> None:
    threads = torch.get_num_threads()
    started = time.process_time()
    assert 0.001 < precision._times_as_fast(576) < 100
    assert time.process_time() - started < 5
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("chosen", ["float32", "tf32", "mixed", "bfloat16"])
def test_what_is_set_is_done_unmeasured(monkeypatch: pytest.MonkeyPatch, chosen: Any) -> None:
    monkeypatch.setattr(precision, "_times_as_fast", lambda *_: pytest.fail("measured"))
    runtime = RuntimeConfig(precision=chosen)
    assert trains_mixed(runtime, SimpleNamespace()) == (chosen == "mixed")
    assert rounds_products(runtime, "cuda") == (chosen in ("tf32", "mixed"))
    assert not rounds_products(runtime, "cpu")
    pick_device(runtime.model_copy(update={"device": "cpu"}))
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("able", [True, False])
def test_a_gpu_is_asked_and_not_clocked(monkeypatch: pytest.MonkeyPatch, able: bool) -> None:
    monkeypatch.setattr(precision, "_times_as_fast", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: able)
    config = SimpleNamespace(hidden_size=576)
    model = SimpleNamespace(device=CUDA, config=SimpleNamespace(get_text_config=lambda: config))
    assert trains_mixed(AUTO, model) == rounds_products(AUTO, "cuda") == able


def test_names_and_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    assert precision_of(torch.float32, CPU) == "float32"
    assert precision_of(torch.float32, CPU, mixed=True) == "mixed"
    assert precision_of(torch.bfloat16, CPU) == precision_of(torch.bfloat16, CUDA) == "bfloat16"
    assert precision_of(torch.float32, CUDA) == "float32"
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert precision_of(torch.float32, CUDA) == "tf32"
    assert rounding_of(torch.bfloat16, CPU) == 2.0**-8
    assert rounding_of(torch.float32, CUDA) == 2.0**-10
    assert rounding_of(torch.float32, CPU) == 0


def test_bfloat16_states_stay_within_its_rounding(tmp_path: Path) -> None:
    """A text read alone and in a batch: what the check of an index allows for."""
    small_backbone(small_dataset()).save(tmp_path)
    backbone = Backbone.load(tmp_path, AUTO.model_copy(update={"precision": "bfloat16"}))
    documents = small_dataset().documents
    rows = backbone.prompt.documents(documents)
    with torch.inference_mode():
        together = backbone.last_states(rows)
        alone = torch.cat([backbone.last_states([row]) for row in rows])
    apart = (together - alone).norm(dim=1) / alone.norm(dim=1)
    assert float(apart.max()) <= backbone.rounding == 2.0**-8
