"""Settings of what is told to other tools about runs and releases."""

from pydantic import field_validator

from rabtriever_core.config.component import Component
from rabtriever_core.config.secrets import checked_address


class TrackingConfig(Component):
    """Where releases are recorded beside the workspace."""

    mlflow: str | None = None
    """MLflow's tracking server (http://host:5000), or what else MLflow takes for one. Every release
    becomes a run there, every served one a version of a registered model. Nothing is told when
    null. Its password belongs in the environment (MLFLOW_TRACKING_PASSWORD)."""
    experiment: str | None = None
    """MLflow's experiment; the collection's alias when null, which is the model's name too."""

    @field_validator("mlflow")
    @classmethod
    def _is_no_secret(cls, value: str | None) -> str | None:
        return checked_address(value.strip()) or None if value else None
