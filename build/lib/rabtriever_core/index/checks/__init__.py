"""Whether a collection is whole and ranks as its model does."""
