"""What made a unit answer, projected back to the pixels through rectified gradients: deconvnet, guided backpropagation.

Both reconstruct the image around the unit rather than explain the class: they hardly change with the class, or with
the weights above (Nie et al. 2018, arXiv 1805.07039; Adebayo et al. 2018, arXiv 1810.03292).
"""

from __future__ import annotations

import torch
from torch import nn

from cnnaudit.attribution.backward import input_gradient
from cnnaudit.attribution.batches import in_batches, say_where_zero
from cnnaudit.attribution.scores import ClassIndex, Unit


def deconvnet(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    unit: Unit = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """Deconvnet: a unit's activation sent back through transposed convolutions, rectification and unpooling.

    All other activations of the layer are set to zero, and the rest goes down: at each convolution the transposed one;
    at each ReLU max(signal, 0), whatever the forward pass did there; at each max pooling to the place of the maximum
    (unpooling with switches, where overlapping windows add up). Everything else goes back by its derivative. Any layer
    at any depth: the pass ends there. Of a layer before its ReLU the answer is negative where the unit's is; name the
    ReLU to start from rectified maps. For a class the signal starts as 1 at its logit.

    Args:
        images: (N, C, H, W) floating-point, on the device of the model.
        class_index, layer, unit: what is projected back, see `scores.scores`: the map of a channel, one position of
            it, or a class.

    Returns:
        (N, C, H, W), zero outside of the unit's receptive field.

    Raises:
        UnsupportedError: the model has no ReLU, or another activation below the layer; see `interventions.relu_rule`.
        AuditError: as in `gradient`.

    Source: Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014 (arXiv 1311.2901).

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
        >>> _ = torch.nn.init.constant_(net[0].weight, 2.0)
        >>> deconvnet(net, torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), layer="2", unit=0)
        tensor([[[[ 0.,  0.],
                  [ 0., 16.]]]])
    """

    def one(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        return input_gradient(model, batch, target, layer, unit, "deconvnet")

    return say_where_zero(in_batches(one, model, images, class_index, batch_size=batch_size), "deconvnet")


def guided_backpropagation(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    unit: Unit = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """Guided backpropagation: the deconvnet's signal, which also stops where the forward pass was not active.

    At each ReLU of input x goes on max(signal, 0) where x > 0, and nothing elsewhere; all else, arguments, result and
    errors are as in `deconvnet`.

    Source: Springenberg et al., Striving for simplicity, 2015 (arXiv 1412.6806).

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(2, 1, bias=False))
        >>> net[2].weight.data[:] = torch.tensor([[2.0, 3.0]])
        >>> guided_backpropagation(net, torch.tensor([[[[-1.0, 1.0]]]]), 0)
        tensor([[[[0., 3.]]]])
    """

    def one(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        return input_gradient(model, batch, target, layer, unit, "guided")

    return say_where_zero(in_batches(one, model, images, class_index, batch_size=batch_size), "guided_backpropagation")
