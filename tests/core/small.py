"""A small data set and small settings that train in seconds."""

from rabtriever_core.config import (
    BackboneConfig,
    PromptConfig,
    RuntimeConfig,
    ScheduleConfig,
    TinyConfig,
)
from rabtriever_core.data.dataset import Dataset, Document
from rabtriever_core.models.backbone import Backbone, tiny_backbone

# Exact, so that tests of numbers hold on machines that are faster in bfloat16.
RUNTIME = RuntimeConfig(seed=3, threads=1, device="cpu", precision="float32")
TINY = TinyConfig(
    hidden_size=32,
    layers=2,
    heads=2,
    key_value_heads=1,
    intermediate_size=64,
    vocabulary_size=600,
    max_positions=256,
)
BACKBONE = BackboneConfig(
    tiny=TINY,
    warmup=ScheduleConfig(
        min_steps=30, max_steps=30, queries_per_step=12, learning_rate=3e-3, checkpoint_steps=10
    ),
)
NEEDS = {
    "rest": ("I am worn out and tired", "Suggest a pause and an early night"),
    "grief": ("My grandmother died and I miss her", "Listen and name the loss"),
    "anger": ("He lied again and I am furious", "Let the rage be spoken aloud"),
    "exam": ("The test tomorrow scares me", "Make a plan with small steps"),
}
PLACES = {
    "work": ("I write from the office", "in a short note"),
    "night": ("It is two in the morning", "with a calm voice"),
    "street": ("People around me can hear", "without details"),
}


def small_dataset() -> Dataset:
    """Twelve documents (need x place), and queries in a few wordings; no shared content words."""
    documents, queries = [], {}
    qrels: dict[str, dict[str, dict[str, int]]] = {"train": {}, "dev": {}, "test": {}}
    openers = ("", "Well. ", "Honestly. ", "Hello. ", "So. ", "Look. ")
    for need, (need_query, need_document) in NEEDS.items():
        for place, (place_query, place_document) in PLACES.items():
            id_ = f"{need}-{place}"
            documents.append(Document(id_, f"{need_document} {place_document}."))
            for i, opener in enumerate(openers):
                split = "train" if i < 4 else "dev" if i == 4 else "test"
                query = f"{split}-{id_}-{i}"
                queries[query] = f"{opener}{need_query}. {place_query}."
                qrels[split][query] = {id_: 1}
    return Dataset("small", tuple(documents), queries, qrels)


def small_backbone(dataset: Dataset, seed: int = 3) -> Backbone:
    """An untrained tiny backbone for the small data set, in inference mode."""
    texts = [d.full_text for d in dataset.documents] + list(dataset.queries.values())
    backbone = tiny_backbone(BACKBONE, PromptConfig(), texts, seed)
    backbone.model.eval()
    return backbone
