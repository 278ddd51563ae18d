"""The definitions: one file per concept."""
