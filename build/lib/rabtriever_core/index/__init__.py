"""Qdrant: vectors, embedding shards, collections, aliases, search, exactness."""
