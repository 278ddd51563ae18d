"""A release taken away: student and teacher as folders that other libraries open, with cards."""

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from rabtriever_core.config import LoraConfig, RuntimeConfig
from rabtriever_core.data.dataset import Dataset, read_dataset
from rabtriever_core.errors import ModelError
from rabtriever_core.integrations import missing_extra
from rabtriever_core.integrations.export_adapter import (
    named_base,
    phases_with_adapters,
    write_adapter,
)
from rabtriever_core.integrations.export_card import card, is_local
from rabtriever_core.integrations.export_folder import export_folder
from rabtriever_core.integrations.export_parity import (
    Parity,
    check_adapter,
    check_cross_encoder,
    check_student,
    share_cut,
)
from rabtriever_core.integrations.export_push import repository
from rabtriever_core.integrations.served import as_workspace
from rabtriever_core.models.reranker import DIRECTION_FILE, RERANKER_FILE
from rabtriever_core.models.saved_encoder import ENCODER_FOLDER
from rabtriever_core.releases.record import Release
from rabtriever_core.releases.served import served_now
from rabtriever_core.releases.serving import release_runtime
from rabtriever_core.releases.store import check
from rabtriever_core.workspace import Workspace
from rabtriever_core.workspace.artifacts import META, folder_md5s
from rabtriever_core.workspace.atomic import write_text

Part = Literal["student", "teacher", "teacher-model", "teacher-adapter"]
PARTS: tuple[Part, ...] = get_args(Part)
EXPORT_FILE = "export.json"
_BESIDE_THE_MODEL = (META, RERANKER_FILE, DIRECTION_FILE, "history.csv", ENCODER_FOLDER)
"""What a teacher artifact holds that is not its language model."""
_THE_MODEL = ("config.json", "generation_config.json", "model*.safetensors*")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Exported(_Frozen):
    """A part that was asked for."""

    refused: str | None = None
    """Why it is not there."""
    parity: Parity | None = None
    """None where it is a copy."""


class ExportInfo(_Frozen):
    """`export.json`."""

    schema_version: Literal[1] = 1
    release: str
    parts: dict[Part, Exported]
    versions: dict[str, str]
    files: dict[str, str]
    """md5 of every other file."""

    @property
    def written(self) -> list[Part]:
        """The parts that are there."""
        return [part for part, outcome in self.parts.items() if outcome.refused is None]


def export_release(
    workspace: Workspace | Path | str | None,
    folder: Path | str,
    *,
    release: Release | None = None,
    only: Part | None = None,
    hub_id: str | None = None,
) -> ExportInfo:
    """Write the models of a release as folders that other libraries open.

    `student/` is a SentenceTransformer, `teacher/` a CrossEncoder, `teacher-model/` the teacher's
    language model as transformers has it, and `teacher-adapter/` what training added to it, where
    it trained adapters. What is computed anew is loaded as its library does, and compared.

    Args:
        workspace: whose release; see `Retriever.open`.
        folder: to write; an earlier export there is replaced.
        release: which one; the served one where it is not given.
        only: one part; all that the release may have where it is not given.
        hub_id: what the cards call them, where they will be on the hub.

    Returns:
        What `export.json` says, with the parts that cannot be exported and why.

    Raises:
        ConfigError: the extra `sentence-transformers` is not installed, or the folder holds
            something else.
        ModelError: no part that was asked for can be exported.
        ReleaseError: the release is not here, or not complete.
    """
    try:
        import sentence_transformers  # noqa: F401 - before anything is loaded
    except ImportError as error:
        raise missing_extra("sentence-transformers", error) from error
    opened = as_workspace(workspace)
    release = release or served_now(opened)
    found = check(opened, release, ("teacher", "student", "validated_dataset"))
    dataset = read_dataset(found["validated_dataset"])
    # As the ONNX export: whatever the release computes in, the folders compute in float32.
    exact = {"precision": "float32", "device": "cpu"}
    runtime = release_runtime(opened, release).model_copy(update=exact)
    make = {
        "student": lambda out: _student(found, runtime, dataset, out),
        "teacher": lambda out: _teacher(found, runtime, dataset, out),
        "teacher-model": lambda out: _language_model(found["teacher"], out),
        "teacher-adapter": lambda out: _adapter(opened, release, runtime, dataset, out),
    }
    wanted: list[Part] = list(PARTS) if only is None else [only]
    if only is None and not phases_with_adapters(release.settings):
        wanted.remove("teacher-adapter")
    with export_folder(Path(folder), EXPORT_FILE) as written:
        parts: dict[Part, Exported] = {}
        for part in wanted:
            out = written / part
            try:
                parity, limits = make[part](out)
            except ModelError as error:
                shutil.rmtree(out, ignore_errors=True)
                parts[part] = Exported(refused=str(error))
                continue
            parts[part] = Exported(parity=parity)
            name = part if hub_id is None else repository(hub_id, part)
            text = card(release, part, name=name, parity=parity, limits=limits, root=opened.root)
            write_text(out / "README.md", text)
        if all(outcome.refused for outcome in parts.values()):
            reasons = "; ".join(f"{part}: {outcome.refused}" for part, outcome in parts.items())
            raise ModelError(f"release {release.id} cannot be exported: {reasons}")
        info = ExportInfo(
            release=release.id,
            parts=parts,
            versions={
                name: version(name)
                for name in ("rabtriever", "sentence-transformers", "transformers", "torch")
            },
            files={n: md5 for n, md5 in folder_md5s(written).items() if n != EXPORT_FILE},
        )
        write_text(written / EXPORT_FILE, info.model_dump_json(indent=2) + "\n")
    return info


_Outcome = tuple[Parity | None, list[str]]
"""What was measured, and what the card says of limits."""


def _student(
    parts: dict[str, Path], runtime: RuntimeConfig, dataset: Dataset, folder: Path
) -> _Outcome:
    from rabtriever_core.integrations.export_student import has_offsets, write_student
    from rabtriever_core.models.student import Student

    student = Student.load(parts["student"], parts["teacher"], runtime)
    write_student(student, folder)
    queries, documents = student.query_encoder.prompt.spec, student.encoder.prompt.spec
    limits = [
        f"It reads the first {documents.max_document_tokens} tokens of a document, and the last "
        f"{queries.max_query_tokens} of a query. A document with a title is `Title: text`.",
        "Vectors are compared by their dot product; their lengths mean something, so do not "
        "normalize them.",
    ]
    if has_offsets(student.predictor):
        limits.append("Margins are comparable among the documents of one query only.")
    return check_student(folder, student, dataset), limits


def _teacher(
    parts: dict[str, Path], runtime: RuntimeConfig, dataset: Dataset, folder: Path
) -> _Outcome:
    from rabtriever_core.integrations.export_teacher import write_cross_encoder
    from rabtriever_core.models.reranker import GenerativeReranker

    teacher = GenerativeReranker.load(parts["teacher"], runtime)
    write_cross_encoder(teacher, folder)
    parity = check_cross_encoder(folder, teacher, dataset)
    spec, share = teacher.backbone.prompt.spec, share_cut(teacher, dataset.documents)
    return parity, [
        f"The teacher itself reads the first {spec.max_document_tokens} tokens of a document and "
        f"the last {spec.max_query_tokens} of a query. A `CrossEncoder` cuts the two together: it "
        f"reads more of longer documents, which are {share:.1%} of the data set's, and scores them "
        "in another way. A document with a title is `Title: text`.",
    ]


def _language_model(teacher: Path, folder: Path) -> _Outcome:
    shutil.copytree(teacher, folder, ignore=shutil.ignore_patterns(*_BESIDE_THE_MODEL))
    return None, [_only_reading(teacher)]


def _adapter(
    workspace: Workspace, release: Release, runtime: RuntimeConfig, dataset: Dataset, folder: Path
) -> _Outcome:
    from rabtriever_core.models.reranker import GenerativeReranker

    phases = phases_with_adapters(release.settings)
    if not phases:
        raise ModelError("this teacher was trained without adapters (backbone.lora)")
    local = is_local(str(release.settings["backbone"]["model"]), workspace.root)
    name = named_base(release.settings, local)
    parts = check(workspace, release, ("teacher", "backbone"))
    teacher, base = parts["teacher"], parts["backbone"]
    ignored = shutil.ignore_patterns(*_BESIDE_THE_MODEL, *_THE_MODEL)
    shutil.copytree(teacher, folder, ignore=ignored)
    lora = LoraConfig.model_validate(release.settings["backbone"]["lora"])
    write_adapter(teacher, base, name, lora, phases, folder)
    parity = check_adapter(folder, base, GenerativeReranker.load(teacher, runtime), dataset)
    return parity, [_only_reading(teacher)]


def _only_reading(teacher: Path) -> str:
    """What a language model alone says of a margin."""
    scale = json.loads((teacher / RERANKER_FILE).read_text(encoding="utf-8"))["cosine_scale"]
    if scale:
        return (
            "The logits of the two answers are one part of the teacher's margin; the other is "
            f"{scale:.4g} times the cosine of query and document read apart by another model."
        )
    return "The margin of a pair is the difference of the two answers' logits."
