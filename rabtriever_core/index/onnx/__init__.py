"""The query tower as an ONNX graph: what a release is asked with, without torch."""
