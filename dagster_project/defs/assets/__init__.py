"""The assets: one file per step, in the order of the data: see `rabtriever_core/stages/registry.py`."""
