"""The assets: one file per step; `rabtriever_core/stages/registry.py` says how they follow."""
