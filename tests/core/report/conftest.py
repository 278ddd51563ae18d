"""The benchmark numbers that evaluation is tested with."""

from tests.core.evaluation.conftest import benchmark, with_all_systems

__all__ = ["benchmark", "with_all_systems"]
