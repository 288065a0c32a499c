"""Every attribution method under one signature, and the two baselines that each must beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from cnnaudit.attribution._attention_rollout import attention_rollout
from cnnaudit.attribution._cam import cam, grad_cam, guided_grad_cam
from cnnaudit.attribution._deconvnet import deconvnet, guided_backpropagation
from cnnaudit.attribution._deeplift import deeplift
from cnnaudit.attribution._forward_backward import forward_backward
from cnnaudit.attribution._lime import lime
from cnnaudit.attribution._occlusion import occlusion
from cnnaudit.attribution.averaged_gradients import integrated_gradients, smooth_grad
from cnnaudit.attribution.gradients import gradient, gradient_times_input
from cnnaudit.interventions.images import require_images

Compute = Callable[..., "torch.Tensor"]


@dataclass(frozen=True, slots=True)
class Method:
    """One way to say what the parts of an image contribute.

    Attributes:
        name: such as `guided_backpropagation`, the name of its function.
        title: for people: `Guided backpropagation`.
        compute: `compute(model, images, class_index, generator)`: (N, C, H, W), or (N, H, W) where not `per_channel`.
            Without a generator it is deterministic.
        reference: author, year and address of the source.
        needs_relu: defined for networks of ReLUs only; others are refused with UnsupportedError.
        needs_attention: defined for vision transformers only; others are refused with UnsupportedError.
        per_channel: whether every channel of a pixel has a value of its own.
        signed: whether its values are shares in the score: positive speaks for the class, negative against it. Of the
            others only the size counts, such as how much the score reacts to a pixel.
        baseline: a picture that knows nothing of the model; a method that is no better says nothing.
    """

    name: str
    title: str
    compute: Compute
    reference: str
    needs_relu: bool = False
    needs_attention: bool = False
    per_channel: bool = True
    signed: bool = False
    baseline: bool = False


def saliency(attribution: torch.Tensor) -> torch.Tensor:
    """One number per pixel, (N, H, W): the sum over channels of the absolute value; maps (N, H, W) stay as they are.

    Example:
        >>> import torch
        >>> saliency(torch.tensor([[[[-2.0]], [[1.0]]]]))
        tensor([[[3.]]])
    """
    return attribution.abs().sum(1) if attribution.ndim == 4 else attribution


def contribution(attribution: torch.Tensor) -> torch.Tensor:
    """One signed number per pixel, (N, H, W): the sum over channels; maps (N, H, W) stay as they are.

    For methods that are `signed`: what a pixel adds to the score, or takes from it.

    Example:
        >>> import torch
        >>> contribution(torch.tensor([[[[-2.0]], [[1.0]]]]))
        tensor([[[-1.]]])
    """
    return attribution.sum(1) if attribution.ndim == 4 else attribution


def blank(images: torch.Tensor) -> torch.Tensor:
    """The blank map: zero everywhere, (N, C, H, W)."""
    return images.new_zeros(images.shape)


def edges(images: torch.Tensor) -> torch.Tensor:
    """The strength of the edges in each channel, (N, C, H, W): the length of the Sobel gradient, with copied borders.

    Example:
        >>> import torch
        >>> edges(torch.tensor([[[[0.0, 0.0, 1.0, 1.0]]]]))
        tensor([[[[0., 4., 4., 0.]]]])
    """
    wide = F.pad(images, (1, 1, 1, 1), mode="replicate")
    rows = wide[..., :-2, :] + 2 * wide[..., 1:-1, :] + wide[..., 2:, :]
    columns = wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]
    return torch.hypot(rows[..., 2:] - rows[..., :-2], columns[..., 2:, :] - columns[..., :-2, :])


def _tiled_occlusion(model: nn.Module, images: torch.Tensor, class_index: Any = None, generator: Any = None) -> Any:
    """Occlusion by about 7 x 7 windows side by side: 49 forward passes, less where only what they touch is computed."""
    require_images(images)
    window = (max(1, images.shape[2] // 7), max(1, images.shape[3] // 7))
    return occlusion(model, images, class_index, window=window, stride=window)


def _short_lime(model: nn.Module, images: torch.Tensor, class_index: Any = None, generator: Any = None) -> Any:
    """LIME from 200 samples: 200 forward passes. Below 64 pixels SLIC cuts the image; quickshift sees one segment."""
    require_images(images)
    segmentation = "quickshift" if min(images.shape[2:]) >= 64 else "slic"
    return lime(model, images, class_index, samples=200, segmentation=segmentation, generator=generator)


def _seedless(function: Compute, **settings: Any) -> Compute:
    """The function as a `compute` that draws nothing."""
    return lambda model, images, class_index=None, generator=None: function(model, images, class_index, **settings)


def _seeded(function: Compute, **settings: Any) -> Compute:
    """The function as a `compute` that draws from the generator."""
    return lambda model, images, class_index=None, generator=None: function(
        model, images, class_index, generator=generator, **settings
    )


_ALL = (
    Method("gradient", "Gradient", _seedless(gradient), "Simonyan et al. 2013, arXiv 1312.6034"),
    Method(
        "gradient_times_input",
        "Gradient × input",
        _seedless(gradient_times_input),
        "Shrikumar et al. 2016, arXiv 1605.01713",
        signed=True,
    ),
    Method("smooth_grad", "SmoothGrad", _seeded(smooth_grad), "Smilkov et al. 2017, arXiv 1706.03825"),
    Method(
        "deconvnet",
        "Deconvnet",
        _seedless(deconvnet),
        "Zeiler and Fergus 2014, arXiv 1311.2901",
        needs_relu=True,
    ),
    Method(
        "guided_backpropagation",
        "Guided backpropagation",
        _seedless(guided_backpropagation),
        "Springenberg et al. 2015, arXiv 1412.6806",
        needs_relu=True,
    ),
    Method(
        "integrated_gradients",
        "Integrated gradients",
        _seedless(integrated_gradients),
        "Sundararajan et al. 2017, arXiv 1703.01365",
        signed=True,
    ),
    Method(
        "deeplift", "DeepLIFT (rescale)", _seedless(deeplift), "Shrikumar et al. 2017, arXiv 1704.02685", signed=True
    ),
    Method("cam", "CAM", _seedless(cam), "Zhou et al. 2016, arXiv 1512.04150", per_channel=False, signed=True),
    Method("grad_cam", "Grad-CAM", _seedless(grad_cam), "Selvaraju et al. 2017, arXiv 1610.02391", per_channel=False),
    Method(
        "guided_grad_cam",
        "Guided Grad-CAM",
        _seedless(guided_grad_cam),
        "Selvaraju et al. 2017, arXiv 1610.02391",
        needs_relu=True,
    ),
    Method(
        "forward_backward",
        "Forward-backward interaction",
        _seedless(forward_backward),
        "Balu et al. 2017, arXiv 1711.06221",
        needs_relu=True,
    ),
    Method("occlusion", "Occlusion", _tiled_occlusion, "Zeiler and Fergus 2014, arXiv 1311.2901", signed=True),
    Method("lime", "LIME", _short_lime, "Ribeiro et al. 2016, arXiv 1602.04938", signed=True),
    Method(
        "attention_rollout",
        "Attention rollout",
        _seedless(attention_rollout),
        "Abnar and Zuidema 2020, arXiv 2005.00928",
        needs_attention=True,
        per_channel=False,
    ),
    Method(
        "blank",
        "Blank map (baseline)",
        lambda model, images, class_index=None, generator=None: blank(images),
        "the map that says nothing",
        baseline=True,
    ),
    Method(
        "edges",
        "Edge detector (baseline)",
        lambda model, images, class_index=None, generator=None: edges(images.detach()),
        "Sobel; as a baseline in Adebayo et al. 2018, arXiv 1810.03292",
        baseline=True,
    ),
)

METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _ALL})
