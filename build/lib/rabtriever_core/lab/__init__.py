"""Our experiments: ablations, further baselines, measurements, the results page, pre-training.

Nothing but `cli` imports it.
"""
