"""All settings together."""

from pydantic import model_validator

from rabtriever_core.config.calibration import CalibrationConfig
from rabtriever_core.config.component import Component, Operating
from rabtriever_core.config.data import DatasetConfig, ValidationConfig
from rabtriever_core.config.models import BackboneConfig, PromptConfig, RuntimeConfig
from rabtriever_core.config.operation import (
    AutomationConfig,
    BenchmarkConfig,
    GatesConfig,
    IndexConfig,
    ReleasesConfig,
    RetrainingConfig,
)
from rabtriever_core.config.serving import ServingConfig
from rabtriever_core.config.training import BiEncoderConfig, StudentConfig, TeacherConfig


class Settings(Component):
    """All components."""

    dataset: DatasetConfig = DatasetConfig()
    validation: ValidationConfig = ValidationConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    backbone: BackboneConfig = BackboneConfig()
    prompt: PromptConfig = PromptConfig()
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig = StudentConfig()
    bi_encoder: BiEncoderConfig = BiEncoderConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    index: IndexConfig = IndexConfig()
    benchmark: BenchmarkConfig = BenchmarkConfig()
    gates: Operating[GatesConfig] = GatesConfig()
    releases: Operating[ReleasesConfig] = ReleasesConfig()
    retraining: Operating[RetrainingConfig] = RetrainingConfig()
    serving: ServingConfig = ServingConfig()
    automation: Operating[AutomationConfig] = AutomationConfig()

    @model_validator(mode="after")
    def _adapters_described(self) -> "Settings":
        if self.student.query_encoder == "lora" and self.backbone.lora is None:
            raise ValueError(
                "student.query_encoder is lora, but backbone.lora, which says what its adapters "
                "are, is null: describe them there, or set student.query_encoder to frozen"
            )
        return self
