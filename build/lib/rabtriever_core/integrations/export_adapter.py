"""The teacher's low-rank adapters apart from its weights, into which training has merged them."""

from pathlib import Path
from typing import Any

from rabtriever_core.config import LoraConfig
from rabtriever_core.errors import ModelError
from rabtriever_core.models.known_models import KNOWN_MODELS


def phases_with_adapters(settings: dict[str, Any]) -> int:
    """How often a release's teacher trained adapters and merged them; 0 where it had none."""
    backbone, method = settings["backbone"], str(settings["teacher"]["method"])
    if backbone["model"] == "tiny" or backbone["lora"] is None or method == "zero-shot":
        return 0
    return len(method.split("+"))


def named_base(settings: dict[str, Any], local: bool) -> str:
    """The model on the hub whose weights a teacher's adapters were put on.

    Args:
        settings: of the release.
        local: whether `backbone.model` is a file or folder.

    Raises:
        ModelError: others cannot get that model by a name.
    """
    backbone = settings["backbone"]
    model = str(backbone["model"])
    why = None
    if settings["teacher"]["start"] != "backbone":
        why = "they stand on the bi-encoder that was trained here (teacher.start)"
    elif local:
        why = f"{Path(model).name} (backbone.model) is a local model"
    elif model in KNOWN_MODELS:
        why = f"the weights of {model} here are not those on the hub ({KNOWN_MODELS[model].title})"
    elif backbone.get("layers") is not None:
        layers = backbone["layers"]
        some = f"the first {layers} layers" if isinstance(layers, int) else f"layers {layers}"
        why = f"they stand on {some} of {model} (backbone.layers)"
    if why:
        raise ModelError(f"adapters need a base that others can name, but {why}")
    return model


def write_adapter(
    teacher: Path, base: Path, name: str, lora: LoraConfig, phases: int, folder: Path
) -> None:
    """Write a folder of peft: what training added to the base's weights, as products of low rank.

    Nobody kept the adapters, but a difference of that rank has the same products in it.

    Args:
        teacher: its artifact.
        base: the artifact that it was trained from.
        name: what others call the base.
        lora: the adapters.
        phases: how often adapters were trained and merged.
        folder: to write.

    Raises:
        ModelError: training changed something else as well.
    """
    import torch
    from peft import LoraConfig as PeftConfig
    from peft import get_peft_model
    from peft.tuners.lora import Linear
    from transformers import AutoModelForCausalLM

    before, after = (
        AutoModelForCausalLM.from_pretrained(path, local_files_only=True, dtype="float32")
        for path in (base, teacher)
    )
    tuned, start = after.state_dict(), before.state_dict()
    changed = {key for key, value in tuned.items() if not torch.equal(value, start[key])}
    rank, targets = lora.rank * phases, lora.target_modules
    adapted = get_peft_model(
        before,
        PeftConfig(
            r=rank,
            lora_alpha=rank,
            target_modules=targets if isinstance(targets, str) else list(targets),
            task_type="CAUSAL_LM",
        ),
    )
    torch.manual_seed(0)
    for path, layer in adapted.named_modules():
        if isinstance(layer, Linear):
            key = f"{path.removeprefix('base_model.model.')}.weight"
            changed.discard(key)
            wanted = min(rank, *start[key].shape)
            u, s, v = torch.svd_lowrank(tuned[key] - start[key], q=wanted, niter=8)
            with torch.no_grad():
                layer.lora_A["default"].weight.zero_()[:wanted] = (v * s.sqrt()).T
                layer.lora_B["default"].weight.zero_()[:, :wanted] = u * s.sqrt()
    if changed:
        raise ModelError(
            f"training changed more than the layers that have adapters: {sorted(changed)[0]}, and "
            f"{len(changed) - 1} more"
        )
    adapted.peft_config["default"].base_model_name_or_path = name
    adapted.save_pretrained(str(folder))
