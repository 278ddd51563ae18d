"""Measurements of one thing each: stored vectors, prefix cache, throughput."""
