"""Serving: the release that is served, over HTTP."""
