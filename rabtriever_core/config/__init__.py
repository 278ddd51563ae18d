"""Every setting: one frozen, validated model per component, read from `params.yaml`.

Precedence: flags (`--set teacher.schedule.epochs=3`) over environment
(`RABTRIEVER_TEACHER__SCHEDULE__EPOCHS=3`) over `params.yaml` over the defaults in these modules.
"""

from rabtriever_core.config.calibration import CalibrationConfig
from rabtriever_core.config.component import Component, shaping_names, shaping_values
from rabtriever_core.config.data import ChangesConfig, DatasetConfig, ValidationConfig
from rabtriever_core.config.gauge import GaugeConfig
from rabtriever_core.config.loading import load_settings
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
from rabtriever_core.config.settings import Settings
from rabtriever_core.config.tracking import TrackingConfig
from rabtriever_core.config.training import BiEncoderConfig, DpoConfig, StudentConfig, TeacherConfig

__all__ = [
    "AutomationConfig",
    "BackboneConfig",
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
    "TrackingConfig",
    "ValidationConfig",
    "load_settings",
    "shaping_names",
    "shaping_values",
]
