"""Settings to start from: what `rabtriever init` writes into a new params.yaml."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from rabtriever_core.config.component import Component
from rabtriever_core.config.settings import Settings

Preset = Literal["pretrained", "tiny"]

_PRETRAINED: dict[str, Any] = {
    "backbone": {"model": "smollm2", "layers": 4, "lora": None},
    "prompt": {"template": "paper", "question": "Appropriate? {true} or {false}"},
    "bi_encoder": {
        "encoder": "minilm",
        "schedule": {
            "epochs": 1.0,
            "min_steps": 40,
            "max_steps": 400,
            "queries_per_step": 32,
            "learning_rate": 1e-4,
            "token_dropout": 0.0,
        },
    },
    "teacher": {
        "encoder": "bi_encoder",
        "cosine_scale": 20.0,
        "schedule": {
            "epochs": 0.3,
            "min_steps": 60,
            "max_steps": 1000,
            "queries_per_step": 8,
            "learning_rate": 5e-4,
            "token_dropout": 0.0,
        },
        "documents_per_query": 6,
        "contrastive_weight": 0.0,
        "anchor_weight": 0.0,
    },
    "student": {
        "schedule": {
            "epochs": 4.0,
            "min_steps": 100,
            "max_steps": 1000,
            "queries_per_step": 32,
            "learning_rate": 1e-4,
            "token_dropout": 0.0,
        },
        "rollout_queries": 200,
        "documents_per_query": 8,
    },
    "calibration": {"unanswerable_share": 0.1},
    "benchmark": {"teacher_pairs": 10_000, "teacher_depth": 10, "document_lengths": (16, 64, 128)},
    "serving": {"rerank_depth": 10},
}


def preset_settings(preset: Preset) -> Settings:
    """The settings of a preset, whatever the environment says.

    `pretrained` trains a small language model and a small encoder that know words; `tiny` trains
    everything from scratch on the data set alone and needs no download; its values are the defaults
    of the settings.
    """
    changes = {"pretrained": _PRETRAINED, "tiny": {}}[preset]
    return _changed(Settings.model_construct(), changes)


_Kind = TypeVar("_Kind", bound=Component)


def _changed(settings: _Kind, changes: Mapping[str, Any]) -> _Kind:
    values = {
        name: _changed(getattr(settings, name), value) if isinstance(value, Mapping) else value
        for name, value in changes.items()
    }
    return settings.model_copy(update=values)
