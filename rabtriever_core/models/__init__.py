"""Backbone, prompt, teacher (generative reranker), predictor and student (Rabtriever)."""
