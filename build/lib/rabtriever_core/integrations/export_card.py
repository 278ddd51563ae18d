"""The model card of an export: what it is, where it comes from, how good it is, how to load it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rabtriever_core.integrations.export_parity import Parity
from rabtriever_core.integrations.export_push import problem_of_name
from rabtriever_core.models.known_models import KNOWN_MODELS
from rabtriever_core.releases.record import Release

ON_THE_HUB = {
    "smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
}
"""What known models are there."""
_SECTIONS = ("runtime", "backbone", "prompt", "teacher", "student", "bi_encoder")
"""Settings that shape the models; those of the data set and of operation are not told."""
_QUERY = "I have a question."
_DOCUMENT = "Title: the text of a document"

_WHAT = {
    "student": """\
Queries and documents become vectors, each read alone; the dot product of two is a margin: how
clearly a reranker, the teacher, would say that the document is an appropriate reply to the query
([Rabtriever](https://arxiv.org/abs/2604.23336)). The two are read in different ways: use
`encode_query` for one and `encode_document` for the other.""",
    "teacher": """\
A language model that reads a document and a query together, and answers T or F. The score of a
pair is the difference of the two answers' logits; its logistic function is a probability, which
nobody has calibrated.""",
    "teacher-model": """\
The language model of the teacher, a reranker that reads a document and a query together, and
answers T or F. `prompt.json` has the token ids that stand around the two, and those of the
answers.""",
    "teacher-adapter": """\
Low-rank adapters for a language model: with them it is the teacher, a reranker that reads a
document and a query together, and answers T or F. `prompt.json` has the token ids that stand
around the two, and those of the answers.""",
}
_LOAD = {
    "student": """\
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("{name}")
margins = model.encode_query([{query!r}]) @ model.encode_document([{document!r}]).T""",
    "teacher": """\
from sentence_transformers import CrossEncoder
model = CrossEncoder("{name}")
margins = model.predict([({query!r}, {document!r})])""",
    "teacher-model": """\
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained("{name}")
tokenizer = AutoTokenizer.from_pretrained("{name}")""",
    "teacher-adapter": """\
from peft import AutoPeftModelForCausalLM
model = AutoPeftModelForCausalLM.from_pretrained("{name}")
model = model.merge_and_unload()""",
}
_HUB = {
    "student": ("sentence-transformers", "sentence-similarity"),
    "teacher": ("sentence-transformers", "text-ranking"),
    "teacher-model": ("transformers", "text-generation"),
    "teacher-adapter": ("peft", "text-generation"),
}
"""Library and task, as the hub names them."""


def card(
    release: Release,
    part: str,
    *,
    name: str,
    parity: Parity | None = None,
    limits: Sequence[str] = (),
    root: Path = Path(),
) -> str:
    """README.md of a part, with the hub's metadata.

    Args:
        release: whose part it is.
        part: its folder's name.
        name: what it is loaded by.
        parity: how it compares with the release; None for a copy.
        limits: what one should know before using it.
        root: the workspace, which paths of models are relative to.
    """
    base = _Base.of(release, part, root)
    library, task = _HUB[part]
    load = _LOAD[part].format(name=name, query=_QUERY, document=_DOCUMENT)
    needs = "sentence-transformers 6.2 or newer" if "sentence" in library else library
    limits = [
        f"It is meant for ranking documents like those of the data set `{release.dataset}`, for "
        "queries like its queries. It was measured on no others.",
        *limits,
        "What it finds appropriate follows the judgements that it was trained on, errors included: "
        "where a wrong answer does harm, let people decide.",
    ]
    made = {
        "release": f"{release.id}, {release.created:%Y-%m-%d}",
        "base model": base.told,
        "data set": f"`{release.dataset}`, fingerprint `{release.fingerprint}`",
        "settings": f"hash `{release.settings_hash}`",
    }
    if parity is not None:
        made["agreement"] = (
            f"margins of {parity.queries} queries with {parity.documents} documents differ from "
            f"the release's by {parity.max_error:.1e} at most; they are up to "
            f"{parity.largest_margin:.3g}"
        )
    sections = {
        "Load it": f"```python\n{load}\n```\n\nThis takes {needs}, and nothing of Rabtriever.",
        "Use and limits": "\n".join(f"- {limit}" for limit in limits),
        "Where it comes from": _table(("", ""), list(made.items())),
        "How well it ranks": _metrics(release),
        "Settings that shaped it": _settings(release, root),
    }
    return (
        "\n\n".join(
            [
                f"---\n{base.front_matter(library, task)}\n---",
                f"# {release.dataset}: {part} of release {release.id}",
                _WHAT[part],
                *(f"## {title}\n\n{text}" for title, text in sections.items()),
            ]
        )
        + "\n"
    )


@dataclass(frozen=True)
class _Base:
    """The model that a part was trained from."""

    hub_id: str | None
    licence: str | None
    told: str
    """It and its licence."""

    @classmethod
    def of(cls, release: Release, part: str, root: Path) -> "_Base":
        settings = release.settings
        name = str(settings["backbone"]["model"])
        if part == "student" and settings["teacher"].get("encoder") == "bi_encoder":
            encoder = str(settings["bi_encoder"].get("encoder", "backbone"))
            name = name if encoder == "backbone" else encoder
        if name == "tiny":
            return cls(None, None, "none: its weights come from the data set alone")
        if name in KNOWN_MODELS:
            known, hub_id = KNOWN_MODELS[name], ON_THE_HUB[name]
            told = f"{known.title} (`{hub_id}` on the hub), {known.licence}"
            return cls(hub_id, known.licence.lower(), told)
        if is_local(name, root):
            told = f"`{Path(name).name}`, a local model; its licence is not known here"
            return cls(None, None, told)
        return cls(name, None, f"`{name}`, under the licence at https://huggingface.co/{name}")

    def front_matter(self, library: str, task: str) -> str:
        from huggingface_hub import ModelCardData

        return ModelCardData(
            library_name=library,
            pipeline_tag=task,
            base_model=self.hub_id,
            license=self.licence,
            tags=sorted({"rabtriever", "retrieval", library}),
        ).to_yaml()


def is_local(model: str, root: Path) -> bool:
    """Whether a setting names a file or folder, which may be gone by now."""
    if model.lower().endswith(".gguf") or (root / Path(model).expanduser()).exists():
        return True
    return problem_of_name(model) is not None


def _metrics(release: Release) -> str:
    rows = [
        (split, system, *(f"{value:.4f}" for value in figures.values()))
        for split, systems in release.metrics.items()
        for system, figures in systems.items()
    ]
    if not rows:
        return "The record of the release has no figures."
    names = next(iter(next(iter(release.metrics.values())).values()))
    return _table(("split", "system", *names), rows)


def _settings(release: Release, root: Path) -> str:
    import yaml

    from rabtriever_core.config import Settings
    from rabtriever_core.config.component import shaping_values

    changed: dict[str, Any] = {}
    for section in _SECTIONS:
        values = release.settings.get(section, {})
        if differing := _differing(values, shaping_values(Settings(), section)):
            changed[section] = differing
    for section, name in (("backbone", "model"), ("bi_encoder", "encoder")):
        model = changed.get(section, {}).get(name)
        if model not in (None, *KNOWN_MODELS) and is_local(model, root):
            changed[section][name] = Path(model).name  # the rest is of this machine
    if not changed:
        return "All are Rabtriever's defaults."
    text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=100)
    return f"All others are Rabtriever's defaults.\n\n```yaml\n{text}```"


def _differing(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, default in defaults.items():
        value = values.get(name, default)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            if inner := _differing(value, default):
                found[name] = inner
        elif value != default:
            found[name] = value
    return found


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
