"""Measuring: metrics, significance, latency, plots, and the benchmark report."""
