"""The releases' stand-in student and quick DVC, here as well."""

from tests.core.releases.conftest import dvc, make, student

__all__ = ["dvc", "make", "student"]
