"""Write the reference of all settings, each with the stages that it rebuilds.

python -m rabtriever_core.stages.settings_reference docs/reference/settings.md
"""

from rabtriever_core.config.reference import settings_reference
from rabtriever_core.stages.registry import STAGES


def reference_page() -> str:
    """Text of docs/reference/settings.md."""
    return settings_reference({stage.name: stage.sections for stage in STAGES})


if __name__ == "__main__":
    import sys
    from pathlib import Path

    Path(sys.argv[1]).write_text(reference_page(), encoding="utf-8")
