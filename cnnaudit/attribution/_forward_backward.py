"""Forward-backward interaction: what flows back from the class, weighted at every layer by what flowed forward."""

from __future__ import annotations

import torch
from torch import nn

from cnnaudit.attribution.backward import input_gradient
from cnnaudit.attribution.batches import in_batches, say_where_zero
from cnnaudit.attribution.scores import ClassIndex, Unit


def forward_backward(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    unit: Unit = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """The forward-backward interaction of a class (or a unit) and the pixels.

    From the class down, with a_l what the ReLU of layer l answered to the image and W_l^T the transposed linear part
    between (convolutions, batch normalization in `eval()`, max pooling to the place of the maximum):
    M_l = (a_l / max a_l) * (W_{l+1}^T M_{l+1}), elementwise, and the map of the image is M_0 = W_1^T M_1. Strong
    activations let the signal through and weak ones damp it, so that it keeps to few pixels, where the gradient has
    a_l > 0 in the place of a_l / max a_l. Dividing by the largest answer of the layer keeps deep networks in the range
    of floating point; along a chain of layers it changes the map by one factor only.

    The paper gives the idea (interaction of the forward and the backward flow at each layer) for chains of layers. The
    normalization, and branches that add up as they do in the gradient, are choices of ours.

    Returns:
        (N, C, H, W). Arguments and errors as in `guided_backpropagation`.

    Source: Balu et al., A forward-backward approach for visualizing information flow in deep networks, 2017
        (arXiv 1711.06221).

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(3, 1, bias=False))
        >>> net[2].weight.data[:] = torch.tensor([[2.0, 3.0, 4.0]])
        >>> forward_backward(net, torch.tensor([[[[-1.0, 1.0, 2.0]]]]), 0)
        tensor([[[[0.0000, 1.5000, 4.0000]]]])
    """

    def one(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        return input_gradient(model, batch, target, layer, unit, "interaction")

    return say_where_zero(in_batches(one, model, images, class_index, batch_size=batch_size), "forward_backward")
