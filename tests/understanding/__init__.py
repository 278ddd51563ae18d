"""What people would say to the demo, and whether a release understands it."""
