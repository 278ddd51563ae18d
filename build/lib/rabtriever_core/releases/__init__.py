"""Releases: what is served, where it came from, and how to go back.

Qdrant's alias says which collection is served, the collection's metadata which release it is, the
release's record which models belong to it, the store holds them. A promotion prepares all of this
and then changes what is served in one step of Qdrant; a reader follows the chain from its start,
and so finds one release or another, never parts of two.
"""
