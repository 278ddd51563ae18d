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
from rabtriever_core.config.tracking import TrackingConfig
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
    tracking: Operating[TrackingConfig] = TrackingConfig()

    @model_validator(mode="after")
    def _adapters_described(self) -> "Settings":
        if self.student.query_encoder == "lora" and self.backbone.lora is None:
            raise ValueError(
                "student.query_encoder is lora, but backbone.lora, which says what its adapters "
                "are, is null: describe them there, or set student.query_encoder to frozen"
            )
        return self

    @model_validator(mode="after")
    def _encoders_fit(self) -> "Settings":
        if self.teacher.start == "bi_encoder" and self.bi_encoder.encoder != "backbone":
            raise ValueError(
                f"teacher.start is bi_encoder, but that is no language model "
                f"(bi_encoder.encoder = {self.bi_encoder.encoder}): set teacher.start to backbone"
            )
        if self.teacher.encoder == "bi_encoder" and self.student.predictor != "gated":
            raise ValueError(
                f"student.predictor is {self.student.predictor}, but only a gated one leads from "
                "another encoder's states to the teacher's: set it to gated, or teacher.encoder to "
                "backbone"
            )
        return self
