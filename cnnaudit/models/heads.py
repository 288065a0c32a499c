"""Pretrained features with a dense head of one's own: a network for few images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

HEAD = "head"


def with_head(
    source: str,
    classes: int,
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    weights: str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A network whose last linear layer is replaced by dense layers, named `head`.

    For an audit file: `source = "cnnaudit.models:with_head"` with these arguments; `cnnaudit train` with
    `--first-layer head` then trains the head on frozen features, and with an earlier layer fine-tunes from there on.

    Args:
        source: of the network: `torchvision:NAME`, `timm:NAME` or `module:callable`.
        classes: logits of the head.
        hidden: neurons of dense layers before the last one, each with ReLU.
        dropout: before each of the head's layers.
        weights: file with the weights of the whole pretrained network, read as tensors only.
        arguments: of the network's constructor.

    Raises:
        ModelError: the source or the weights cannot be loaded, or the network has no linear layer at its end.

    Source: A. Razavian et al., CNN features off-the-shelf, 2014; J. Yosinski et al., How transferable are features in
    deep neural networks?, 2014.

    Example:
        >>> model = with_head("cnnaudit.models:small_resnet", 2, hidden=[16])
        >>> [name for name, _ in model.head.named_children()]
        ['dense1', 'relu1', 'output']
    """
    from torch import nn

    from cnnaudit.target import InputSpec
    from cnnaudit.target.model_sources import ModelSource, load

    file = Path(weights).absolute() if weights else None
    if file is not None and not file.is_file():
        raise ModelError(f"with_head: no such file of weights: {weights}")
    made = ModelSource("features", source, arguments or {}, weights=file, device="cpu")
    network = load(made, InputSpec(channels=3, size=(1, 1)), Path.cwd()).model._audited
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ModelError(f"with_head: {source} has no linear layer (torch.nn.Linear) that a head could replace")
    owner, _, own = linear[-1].rpartition(".")
    width: int = network.get_submodule(linear[-1]).in_features  # type: ignore[assignment]
    setattr(network.get_submodule(owner), own, nn.Identity())
    model = nn.Sequential()
    model.add_module("features", network)
    model.add_module(HEAD, _dense(width, classes, hidden, dropout))
    return model


def _dense(width: int, classes: int, hidden: Sequence[int], dropout: float) -> nn.Sequential:
    """Dense layers from the features to the logits."""
    from torch import nn

    if classes < 1 or any(size < 1 for size in hidden) or not 0 <= dropout < 1:
        raise ModelError(f"with_head: expected sizes above 0 and a dropout below 1, got {classes}, {hidden}, {dropout}")
    head = nn.Sequential()
    for number, size in enumerate(hidden, start=1):
        if dropout:
            head.add_module(f"dropout{number}", nn.Dropout(dropout))
        head.add_module(f"dense{number}", nn.Linear(width, size))
        head.add_module(f"relu{number}", nn.ReLU())
        width = size
    if dropout:
        head.add_module("dropout", nn.Dropout(dropout))
    head.add_module("output", nn.Linear(width, classes))
    return head
