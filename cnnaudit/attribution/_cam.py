"""Class activation maps: CAM, Grad-CAM, guided Grad-CAM."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from cnnaudit.attribution.scores import ClassIndex
from cnnaudit.core.errors import UnsupportedError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cnnaudit.interventions import Call

# Calls between the last plane and the class that leave CAM its formula: one average, one linear layer, no function.
_AVERAGES = {"mean", "adaptive_avg_pool2d", "avg_pool2d", "sum"}
_LINEAR = {"linear", "conv2d", "addmm", "mm", "matmul"}
_SHAPES = {"flatten", "view", "reshape", "squeeze", "dropout", "contiguous", "getitem", "to", "float", "detach"}
_BIAS = {"add", "t", "transpose", "permute"}


def cam(
    model: nn.Module, images: torch.Tensor, class_index: ClassIndex = None, *, batch_size: int = 32
) -> torch.Tensor:
    """Class activation map: the last planes A_k summed with the class's own weights, sum_k w_ck A_k.

    For networks that average the last planes and put one linear layer behind (ResNet, GoogLeNet, MobileNetV2): there
    the mean of the map plus the class's bias is the logit. The map is drawn at the size of the image by bilinear
    interpolation (half-pixel centers).

    Args:
        images: floating point (N, C, H, W).
        class_index: as in `scores`; None: the predicted class.

    Returns:
        (N, H, W), positive where a place speaks for the class, in units of the logit.

    Raises:
        UnsupportedError: something else than an average and one linear layer follows the last planes; Grad-CAM works
            there. Or the model hides its calls.
        AuditError, DataError, ModelError: as in `gradient`.

    Source: Zhou et al., Learning deep features for discriminative localization, CVPR 2016 (arXiv 1512.04150).

    Example:
        >>> import torch
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), pool, torch.nn.Flatten(), torch.nn.Linear(2, 3))
        >>> cam(net, torch.rand(4, 1, 8, 8), 0).shape
        torch.Size([4, 8, 8])
    """
    import torch

    from cnnaudit.attribution.batches import in_batches, require_images, say_where_zero

    require_images(images)
    layer, after = _last_planes(model, images)
    obstacles = [call.name for call in after if call.kind not in _AVERAGES | _LINEAR | _SHAPES | _BIAS]
    linear = [call.name for call in after if call.kind in _LINEAR]
    if obstacles or len(linear) > 1:
        found = ", ".join(obstacles or linear)
        raise UnsupportedError(
            f"CAM needs one average and one linear layer behind the last planes ({layer}), and there are {found}; "
            "use grad_cam"
        )

    def one(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        planes, slope = _slopes(model, batch, target, layer)
        middle = slope.mean((2, 3), keepdim=True)
        if not torch.allclose(slope, middle.expand_as(slope), rtol=1e-3, atol=1e-3 * float(slope.abs().max())):
            raise UnsupportedError(
                f"CAM needs the plain average of the last planes ({layer}), and this model weighs their places "
                "differently; use grad_cam"
            )
        weights = middle * (slope.shape[2] * slope.shape[3])
        return _upsampled((weights * planes).sum(1), batch)

    return say_where_zero(in_batches(one, model, images, class_index, batch_size=batch_size), "cam")


def grad_cam(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """Grad-CAM: a layer's planes A_k weighted with the mean gradient of the logit y_c over each, max(0, sum_k a_k A_k).

    a_k = (1 / HW) sum_xy d y_c / d A_k[x, y]. Drawn at the size of the image by bilinear interpolation (half-pixel
    centers); the gradient is computed from the layer on only.

    Args:
        images: floating point (N, C, H, W).
        class_index: as in `scores`; None: the predicted class.
        layer: a module or call with planes, named as in `interventions.calls`; None: the last one (`last_planes`).

    Returns:
        (N, H, W), not negative, in units of the logit.

    Raises:
        UnsupportedError: the layer has no planes, or a plane of a single pixel; or the model hides its calls.
        LayerError: the model has no such layer.
        AuditError, DataError, ModelError: as in `gradient`.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017 (arXiv 1610.02391).

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> _ = torch.nn.init.ones_(net[2].weight)
        >>> images = torch.rand(4, 1, 8, 8)
        >>> grad_cam(net, images, 0).equal(images[:, 0]), last_planes(net, images)
        (True, '0')
    """
    return _grad_cam(model, images, class_index, layer, batch_size, "grad_cam")


def guided_grad_cam(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """Guided Grad-CAM: guided backpropagation of the class times its Grad-CAM map, (N, C, H, W).

    It inherits from guided backpropagation that it hardly depends on the weights (Adebayo et al. 2018). Arguments and
    errors as in `grad_cam` and `guided_backpropagation`: a network of ReLUs.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017 (arXiv 1610.02391).

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> _ = torch.nn.init.ones_(net[2].weight)
        >>> images = torch.rand(4, 1, 8, 8)
        >>> guided_grad_cam(net, images, 0).equal(images)  # a guided signal of 1 everywhere, times the map
        True
    """
    from cnnaudit.attribution._deconvnet import guided_backpropagation
    from cnnaudit.attribution.batches import in_batches, say_where_zero
    from cnnaudit.attribution.scores import class_indices

    target = in_batches(lambda b, c: class_indices(model, b, c), model, images, class_index, batch_size=batch_size)
    fine = guided_backpropagation(model, images, target, batch_size=batch_size)
    coarse = _grad_cam(model, images, target, layer, batch_size, "")
    return say_where_zero(fine * coarse[:, None], "guided_grad_cam")


def last_planes(model: nn.Module, images: torch.Tensor) -> str:
    """The name of the last call that answers planes of more than one pixel, the default of `grad_cam`.

    Raises:
        UnsupportedError: no call does, or the model hides its calls.
    """
    return _last_planes(model, images)[0]


def _last_planes(model: nn.Module, images: torch.Tensor) -> tuple[str, list[Call]]:
    """The last call with planes, and the calls after it."""
    from cnnaudit.attribution.incremental_forward import one_batch
    from cnnaudit.interventions import calls
    from cnnaudit.interventions.modes import evaluating

    with evaluating(model):
        made = calls(model, one_batch(model, images))
    for position in range(len(made) - 1, -1, -1):
        if _has_planes(made[position].output_shape):
            return made[position].name, made[position + 1 :]
    raise UnsupportedError("the model has no layer with planes of more than one pixel; use gradient or occlusion")


def _has_planes(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[2] * shape[3] > 1


def _grad_cam(
    model: nn.Module, images: torch.Tensor, class_index: ClassIndex, layer: str | None, batch_size: int, name: str
) -> torch.Tensor:
    from cnnaudit.attribution.batches import in_batches, require_images

    require_images(images)
    where = layer or last_planes(model, images)

    def one(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        planes, slope = _slopes(model, batch, target, where)
        return _upsampled((slope.mean((2, 3), keepdim=True) * planes).sum(1).relu(), batch)

    maps = in_batches(one, model, images, class_index, batch_size=batch_size)
    silent = ~maps.flatten(1).any(1)
    if name and silent.any():
        warnings.warn(
            f"{name}: nothing in the planes of {where} speaks for the class in {int(silent.sum())} of {len(maps)} "
            f"images, first in number {int(silent.nonzero()[0])}: their weighted sum is nowhere positive",
            RuntimeWarning,
            stacklevel=3,
        )
    return maps


def _slopes(
    model: nn.Module, batch: torch.Tensor, class_index: ClassIndex, layer: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The planes of the layer and the gradient of the class's logit with respect to them, both (N, K, h, w)."""
    import torch

    from cnnaudit.attribution.scores import scores
    from cnnaudit.interventions import track_from
    from cnnaudit.interventions.modes import evaluating
    from cnnaudit.interventions.parameters import ConstantParameters

    with torch.inference_mode(False), evaluating(model), ConstantParameters():
        with track_from(model, layer) as tracked:
            score = scores(model, batch.clone() if batch.is_inference() else batch, class_index)
        planes = tracked.value
        if not _has_planes(tuple(planes.shape)):
            raise UnsupportedError(
                f"layer {layer!r} answers {tuple(planes.shape)}, no planes (N, C, H, W) of more than one pixel; name a "
                "convolution or pooling, or leave it out for the last one"
            )
        slope = torch.autograd.grad(score.sum(), planes, allow_unused=True)[0] if score.requires_grad else None
    return planes.detach(), torch.zeros_like(planes) if slope is None else slope


def _upsampled(maps: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Maps (N, h, w) at the size of the images, (N, H, W)."""
    import torch.nn.functional as F  # noqa: N812

    size = (images.shape[2], images.shape[3])
    return F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
