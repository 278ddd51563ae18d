"""DVC: the pipeline file, what is recorded, versions of the raw data."""
