"""Backbone, prompt, teacher (generative reranker), predictor, student (Rabtriever), and BM25."""
