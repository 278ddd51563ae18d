"""Figures in print that are shown beside ours, always labelled as another setting."""

ESCONV_SOURCE = (
    "arXiv 2604.23336 (Rabtriever) and arXiv 2412.16615 (RaHoRe), ESConv, 7B backbones, their own "
    "split and pool: another setting than ours"
)
ESCONV = (
    ("RepLLaMA", 17.4, 49.1, 39.7),
    ("GritLM", 19.2, 50.2, 41.7),
    ("LLaMA2Vec", 23.9, 55.6, 45.5),
    ("RankLLaMA (reranker)", 32.3, 64.8, 52.9),
    ("RaHoRe SFT, the teacher", 34.4, 67.1, 54.8),
    ("RaHoRe DPO", 38.0, 69.5, 57.6),
    ("Rabtriever", 32.8, 66.4, 54.7),
)
"""System, R@1, R@3, MRR in percent."""
