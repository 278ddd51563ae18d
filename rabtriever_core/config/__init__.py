"""Every setting: one frozen, validated model per component, read from `params.yaml`.

Precedence: flags (`--set teacher.epochs=3`) over environment (`RABTRIEVER_TEACHER__EPOCHS=3`) over
`params.yaml` over the defaults in these modules.
"""

from rabtriever_core.config.baselines import Baseline, BaselinesConfig, TrainedBaseline
from rabtriever_core.config.calibration import CalibrationConfig
from rabtriever_core.config.component import Component
from rabtriever_core.config.data import ChangesConfig, DatasetConfig, ValidationConfig
from rabtriever_core.config.gauge import GaugeConfig
from rabtriever_core.config.models import (
    BackboneConfig,
    LoraConfig,
    PromptConfig,
    RuntimeConfig,
    TinyConfig,
)
from rabtriever_core.config.operation import (
    AutomationConfig,
    BenchmarkConfig,
    GatesConfig,
    IndexConfig,
    ReleasesConfig,
    RetrainingConfig,
)
from rabtriever_core.config.schedule import ScheduleConfig
from rabtriever_core.config.serving import ServingConfig
from rabtriever_core.config.settings import Settings, load_settings
from rabtriever_core.config.training import BiEncoderConfig, DpoConfig, StudentConfig, TeacherConfig

__all__ = [
    "AutomationConfig",
    "BackboneConfig",
    "Baseline",
    "BaselinesConfig",
    "BenchmarkConfig",
    "BiEncoderConfig",
    "CalibrationConfig",
    "ChangesConfig",
    "Component",
    "DatasetConfig",
    "DpoConfig",
    "GatesConfig",
    "GaugeConfig",
    "IndexConfig",
    "LoraConfig",
    "PromptConfig",
    "ReleasesConfig",
    "RetrainingConfig",
    "RuntimeConfig",
    "ScheduleConfig",
    "ServingConfig",
    "Settings",
    "StudentConfig",
    "TeacherConfig",
    "TinyConfig",
    "TrainedBaseline",
    "ValidationConfig",
    "load_settings",
]


_OPS = {"runtime": ("device", "threads", "batch_multiple"), "index": ("url", "api_key", "collection", "batch_size", "keep_collections", "timeout_seconds", "shard_documents"), "validation": ("changes",)}


def shaping_names(section):
    if section not in _OPS:
        return (section,)
    model = Settings.model_fields[section].annotation
    return tuple(f"{section}.{n}" for n, f in model.model_fields.items() if n not in _OPS[section] and not f.exclude)


def shaping_values(settings, section):
    from operator import attrgetter
    v = attrgetter(section)(settings)
    if hasattr(v, "model_dump"):
        v = v.model_dump(mode="json")
        return {k: x for k, x in v.items() if k not in _OPS.get(section, ())}
    return v
