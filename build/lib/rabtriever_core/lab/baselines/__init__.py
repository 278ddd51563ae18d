"""What a user would pick instead of Rabtriever, on the same data."""
