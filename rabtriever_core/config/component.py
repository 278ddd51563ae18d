"""Base of all settings."""

from pydantic import BaseModel, ConfigDict


class Component(BaseModel):
    """Base of all component settings: immutable, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
