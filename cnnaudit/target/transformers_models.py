"""Image classifiers that transformers saved, loaded from safetensors and without code of their own."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import AuditError, ModelError
from cnnaudit.core.wording import listed, one_line
from cnnaudit.target.transformers_files import configuration, tensor_sizes

if TYPE_CHECKING:
    from torch import nn


def load_saved(folder: Path) -> nn.Module:
    """The image classifier that `model.save_pretrained(folder)` left there; its tensors must be all of the model's.

    Raises:
        ModelError: transformers is missing, the folder holds no such model, asks for code of its own, or its tensors
            are not those of the architecture.
    """
    import torch

    config = configuration(folder)
    sizes = tensor_sizes(folder)
    try:
        from transformers import AutoConfig, AutoModelForImageClassification
    except ModuleNotFoundError:
        raise ModelError(
            f"model.source = 'hf:{folder.name}' needs transformers: pip install 'cnnaudit[transformers]'"
        ) from None
    automatic: Any = AutoModelForImageClassification
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            described = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            with torch.device("meta"):  # what the architecture needs, before any room for it is made
                empty = automatic.from_config(described, trust_remote_code=False)
            _compare(empty, sizes, folder.name)
            model, told = automatic.from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False, local_files_only=True, output_loading_info=True
            )
    except AuditError:
        raise
    except Exception as error:
        kind = str(config.get("model_type"))[:100]
        raise ModelError(f"model.source: transformers cannot load {folder.name} ({kind}): {one_line(error)}") from error
    for what, verb in (("missing_keys", "lacks"), ("mismatched_keys", "has other shapes for")):
        if names := sorted(str(name) for name in told.get(what) or ()):
            raise ModelError(f"model.source: {folder.name} {verb} {listed(names)}, which would be drawn at random")
    network: nn.Module = model.float()
    return network


def _compare(network: nn.Module, sizes: dict[str, int], name: str) -> None:
    """Refuse an architecture that has more numbers than the files, before room for it is made.

    Names are compared by transformers, whose versions rename them.
    """
    needed, held = sum(value.numel() for value in network.parameters()), sum(sizes.values())
    if needed > held:
        raise ModelError(f"model.source: {name}/config.json describes {needed:,} numbers, its tensors hold {held:,}")
