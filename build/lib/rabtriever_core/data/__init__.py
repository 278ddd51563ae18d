"""Datasets in BEIR layout: read, write, fingerprint, validate; the bundled demo set."""
