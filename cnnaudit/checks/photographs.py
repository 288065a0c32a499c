"""Published networks on photographs: single clean targets of a realistic size.

Where the folder that `CNNAUDIT_DATA` names holds them: `models/mobilenet_v2_imagenet.safetensors`,
`models/inception_v3_imagenet_fp16.safetensors`, and `images/NNNN_name.JPEG`, NNNN the class of ImageNet.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnaudit.checks.real import FOLDER
from cnnaudit.checks.registry import Population
from cnnaudit.core.errors import DataError
from cnnaudit.target import InputSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.target import AuditTarget

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Published:
    """A network of torchvision with the weights of a file.

    Attributes:
        file: the weights, below `models`.
        arguments: of torchvision's function.
        spec: size and resizing of the images.
        mean, std: what the network normalizes pixels in [0, 1] by.
    """

    file: str
    arguments: Mapping[str, Any]
    spec: InputSpec
    mean: tuple[float, ...]
    std: tuple[float, ...]


NETWORKS: Mapping[str, Published] = MappingProxyType(
    {
        "mobilenet_v2": Published(
            "mobilenet_v2_imagenet.safetensors", {}, InputSpec(3, (224, 224), resize=256), *_IMAGENET
        ),
        "inception_v3": Published(
            "inception_v3_imagenet_fp16.safetensors",
            {"aux_logits": False, "init_weights": False, "transform_input": False},
            InputSpec(3, (299, 299), resize=341),
            *_HALF,
        ),
    }
)


def photographs(part: str = "", check: str = "") -> list[Population]:
    """One population of a single target for each of `NETWORKS` that is at hand, for a check that is too slow for more.

    Example:
        >>> all(population.seeds == 1 for population in photographs())
        True
    """
    folder = Path(os.environ.get(FOLDER) or "no folder named")
    return [
        Population(f"{name} on photographs", partial(published, name), 1, part, check)
        for name, network in NETWORKS.items()
        if (folder / "models" / network.file).is_file() and (folder / "images").is_dir()
    ]


def published(name: str, seed: int = 0) -> AuditTarget:
    """The network of that name on all photographs, its normalization inside, with ImageNet's 1000 classes.

    The seed is that of the checks' draws; the target is the same for each.

    Raises:
        DataError: the network is unknown, or its file or the photographs are not there.
    """
    from torchvision.models import MobileNet_V2_Weights

    from cnnaudit.target import AuditTarget

    if name not in NETWORKS:
        raise DataError(f"photographs: expected one of {', '.join(NETWORKS)}, got {name!r}")
    folder, spec = Path(os.environ.get(FOLDER, "")), NETWORKS[name].spec
    classes = [f"{k} {word}" for k, word in enumerate(MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"])]
    split = {"validation": _photographs(folder / "images", spec)}
    return AuditTarget.from_arrays(
        f"ordinary: {name} on photographs", _network(folder, name), split, classes, input=spec, seed=seed
    )


def _network(folder: Path, name: str) -> nn.Module:
    """The network with its weights, float32; it normalizes its input in a hook, so that its layers keep their names."""
    import torchvision
    from safetensors.torch import load_file

    network, path = NETWORKS[name], folder / "models" / NETWORKS[name].file
    if not path.is_file():
        raise DataError(f"photographs: {path.name} not found: set {FOLDER} to the folder that holds it in models")
    model: nn.Module = getattr(torchvision.models, name)(weights=None, **network.arguments)
    model.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()}
    )
    model.register_forward_pre_hook(partial(_normalize, mean=network.mean, std=network.std))
    return model


def _normalize(
    module: nn.Module, inputs: tuple[torch.Tensor], mean: tuple[float, ...], std: tuple[float, ...]
) -> torch.Tensor:
    """The pixels as the network wants them."""
    import torch

    pixels = inputs[0]
    center, scale = (torch.tensor(values).view(1, -1, 1, 1).to(pixels) for values in (mean, std))
    return (pixels - center) / scale


@functools.lru_cache(maxsize=2)
def _photographs(folder: Path, spec: InputSpec) -> tuple[np.ndarray, np.ndarray]:
    """All photographs, uint8 (N, 3, H, W), and the classes that their names begin with."""
    from cnnaudit.target.preparation import load

    paths = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.JPEG"))
    if not paths:
        raise DataError(f"photographs: no file NNNN_name.JPEG in {folder.name}: set {FOLDER} to the folder that has it")
    images = [np.round(load(path, spec, path.name) * 255).astype(np.uint8) for path in paths]
    return np.stack(images), np.array([int(path.name[:4]) for path in paths])
