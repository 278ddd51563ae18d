"""All settings together, read from `params.yaml`, environment and flags."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

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
from rabtriever_core.errors import ConfigError

_SECRETS = {"api_key", "webhook_url"}


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


class _FileAndEnvironment(BaseSettings):
    """Nested values of params.yaml with the environment's laid over them, not yet validated."""

    model_config = SettingsConfigDict(
        extra="allow", env_prefix="RABTRIEVER_", env_nested_delimiter="__"
    )

    dataset: dict[str, Any] = {}
    validation: dict[str, Any] = {}
    runtime: dict[str, Any] = {}
    backbone: dict[str, Any] = {}
    prompt: dict[str, Any] = {}
    teacher: dict[str, Any] = {}
    student: dict[str, Any] = {}
    bi_encoder: dict[str, Any] = {}
    calibration: dict[str, Any] = {}
    index: dict[str, Any] = {}
    benchmark: dict[str, Any] = {}
    gates: dict[str, Any] = {}
    releases: dict[str, Any] = {}
    retraining: dict[str, Any] = {}
    serving: dict[str, Any] = {}
    automation: dict[str, Any] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over the file's values (passed as init arguments)."""
        return env_settings, init_settings


def load_settings(params: Path | None, overrides: tuple[str, ...] = ()) -> Settings:
    """Read `params.yaml`, then the environment, then `section.name=value` overrides.

    What the file leaves out has its default, at any depth; everything has without one.

    Raises:
        ConfigError: the file is missing or malformed, or a value is invalid; names the setting.
    """
    import os

    import yaml

    values: Any = {}
    try:
        if params is not None:
            values = yaml.safe_load(params.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ConfigError(f"no {params}: run `rabtriever init` in this folder first") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{params} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{params} must be a mapping of sections, got {type(values).__name__}")
    try:
        given = _FileAndEnvironment(**values).model_dump()
        # A nested setting's default depends on its place: a stage's schedule has one of its own.
        layered = _laid_over(Settings.model_construct().model_dump(), given)
        settings = Settings.model_validate(_override(layered, overrides))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in e['loc'])}{_shown(e)}: {e['msg']}"
            for e in error.errors()
        )
        where = "--set" if params is None else params
        raise ConfigError(f"invalid setting in {where} or environment: {problems}") from None
    server = {"url": os.environ.get("QDRANT_URL"), "api_key": os.environ.get("QDRANT_API_KEY")}
    known = {name: value for name, value in server.items() if value}
    return settings.model_copy(update={"index": settings.index.model_copy(update=known)})


def _laid_over(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Nested values where there are any, else the defaults."""
    return defaults | {
        name: _laid_over(defaults[name], value)
        if isinstance(value, dict) and isinstance(defaults.get(name), dict)
        else value
        for name, value in values.items()
    }


def _shown(error: Mapping[str, Any]) -> str:
    """The rejected value, unless it is a secret, or a section whose message names what is wrong."""
    if error["type"] == "value_error" and isinstance(error.get("input"), dict):
        return ""
    return " = " + ("…" if _SECRETS & set(error["loc"]) else repr(error.get("input")))


def _override(values: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """Apply `a.b.c=value` (value in YAML) to nested settings."""
    import yaml

    for override in overrides:
        path, separator, text = override.partition("=")
        if not separator:
            raise ConfigError(f"--set {override!r}: expected section.name=value")
        *parents, name = path.split(".")
        target: Any = values
        for parent in parents:
            target = target.get(parent) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise ConfigError(f"--set {override!r}: there is no setting {path!r}")
        target[name] = yaml.safe_load(text)
    return values
