"""Findings: results of finished workspaces and ablations, stored small, shown on one page."""
