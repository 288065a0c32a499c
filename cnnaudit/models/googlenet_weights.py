"""The published weights of GoogLeNet, under the names that each publication gave its layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnnaudit.core.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

_KEY = re.compile(r"(?P<layer>.+?)[./_](?P<role>weights?|w|W|kernel|0|bias(?:es)?|b|1)(?::0)?")
_CAFFE = {
    "conv1/7x7_s2": "conv2d0",
    "conv2/3x3_reduce": "conv2d1",
    "conv2/3x3": "conv2d2",
    "loss3/classifier": "softmax2",
    "loss1/conv": "head0.bottleneck",
    "loss1/fc": "head0.nn",
    "loss1/classifier": "head0.softmax",
    "loss2/conv": "head1.bottleneck",
    "loss2/fc": "head1.nn",
    "loss2/classifier": "head1.softmax",
}


def load_googlenet_weights(model: nn.Module, state: Mapping[str, Any]) -> nn.Module:
    """Give a `googlenet` the weights of a published checkpoint, whatever names and layout they have there.

    | publication | a key | layout |
    |---|---|---|
    | this package | `mixed4b.5x5_bottleneck.weight` | (units, inputs, h, w) |
    | Caffe, bvlc_googlenet | `inception_4b/5x5_reduce.weight` or `.0`, `loss3/classifier.0` | the same |
    | Keras, Marino's conversion | `inception_4b/5x5_reduce_W` | the same, turned by 180 degrees for Theano |
    | TensorFlow, as Lucid has it | `mixed4b_5x5_bottleneck_w`, `softmax2_w` | (h, w, inputs, units) |
    | Lucent, its conversion to PyTorch | `mixed4b_5x5_bottleneck_pre_relu_conv.weight` | (units, inputs, h, w) |

    Caffe's and Keras's fit the variant `published`, the other two `tensorflow`. The layout is told by the shape.
    Weights of auxiliary classifiers are left out where the model has none. The first convolution of Caffe and Keras
    expects blue, green, red in 0..255 less the mean; TensorFlow's red, green, blue less 117: said in the audit file's
    `[input]`, not changed here. Which publication's kernels are turned is taken from its documentation: no checkpoint
    of trained GoogLeNet was at hand to confirm an accuracy.

    Args:
        state: tensors or arrays by name, such as a file of safetensors or a `caffemodel` read into one.

    Returns:
        The model.

    Raises:
        ModelError: the first weight that is missing, has another shape, or belongs to no layer; or torchvision's
            checkpoint, which is of another network. The model is not changed then.

    Example:
        >>> from cnnaudit.models import googlenet
        >>> state = {f"{k.replace('.1x1', '_1x1')}": v for k, v in googlenet(10).state_dict().items()}
        >>> model = load_googlenet_weights(googlenet(10), state)
    """
    given = {_own(key): (key, value) for key, value in state.items()}
    wanted = model.state_dict()
    found = {}
    for name, parameter in wanted.items():
        if name not in given:
            raise ModelError(
                f"googlenet: the weights hold nothing for {name} {tuple(parameter.shape)}; they begin with "
                f"{', '.join(list(state)[:3]) or 'nothing'}"
            )
        found[name] = _fitted(*given[name], name, parameter)
    unknown = [key for own, (key, _) in given.items() if own not in wanted and not own.startswith("head")]
    if unknown:
        raise ModelError(f"googlenet: {unknown[0]!r} is no weight of this network")
    model.load_state_dict(found)
    return model


def _own(key: str) -> str:
    """The name of a weight in `googlenet`, of whichever publication; an unknown one stays as it is."""
    if re.match(r"inception\d\w\.branch\d", key):
        raise ModelError(
            f"googlenet: {key!r} is of torchvision's GoogLeNet, which is another network (batch normalization, 3x3 in "
            "place of 5x5); use it as 'torchvision:googlenet'"
        )
    match = _KEY.fullmatch(key)
    if match is None:
        return key
    layer = match["layer"].removesuffix("_pre_relu_conv").removesuffix("_pre_activation_matmul")
    half = layer[: len(layer) // 2]
    layer = half if layer == f"{half}/{half}" else layer  # Keras repeats the layer's name
    role = "weight" if match["role"][0] in "wWk0" else "bias"
    return f"{_layer(layer)}.{role}"


def _layer(name: str) -> str:
    """The layer's name in `googlenet`."""
    if name in _CAFFE:
        return _CAFFE[name]
    if inception := re.fullmatch(r"inception_(\d\w)/(.+)", name):
        part = inception[2].replace("_reduce", "_bottleneck").replace("pool_proj", "pool_reduce")
        return f"mixed{inception[1]}.{part}"
    if tensorflow := re.fullmatch(r"(mixed\d\w)_(.+)", name):
        return f"{tensorflow[1]}.{tensorflow[2]}"
    if head := re.fullmatch(r"(head|nn|softmax)([01])(?:_bottleneck)?", name):
        return f"head{head[2]}.{'bottleneck' if head[1] == 'head' else head[1]}"
    return name


def _fitted(key: str, value: Any, name: str, parameter: torch.Tensor) -> torch.Tensor:
    """The value in the layout of PyTorch."""
    import numpy as np
    import torch

    array = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
    array = array.to(parameter)
    shape = tuple(array.shape)
    if array.ndim == 2 and parameter.ndim == 2 and shape == tuple(parameter.shape)[::-1] != tuple(parameter.shape):
        array = array.T
        if name.endswith(".nn.weight"):  # TensorFlow flattens rows, columns, channels; PyTorch channels first
            array = array.reshape(-1, 4, 4, 128).permute(0, 3, 1, 2).flatten(1)
    elif array.ndim == 4 and tuple(array.permute(3, 2, 0, 1).shape) == tuple(parameter.shape) != shape:
        array = array.permute(3, 2, 0, 1)
    elif array.ndim == 4 and re.search(r"_W(:0)?$", key):
        array = array.flip(2, 3)
    if array.shape != parameter.shape:
        raise ModelError(
            f"googlenet: {key!r} has the shape {shape}, {name} expects {tuple(parameter.shape)}; "
            "try the other variant ('published' or 'tensorflow') or number of classes"
        )
    return array.contiguous()
