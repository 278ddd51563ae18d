"""Ablations and sweeps: plans of variants, trained by the stages over data sets and seeds."""
