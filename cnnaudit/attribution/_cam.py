"""Class activation maps: CAM, Grad-CAM, guided Grad-CAM."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from cnnaudit.attribution._deconvnet import guided_backpropagation
from cnnaudit.attribution.batches import in_batches, require_images, say_where_zero
from cnnaudit.attribution.incremental_forward import one_batch
from cnnaudit.attribution.scores import ClassIndex, class_indices, scores
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import record, track_from
from cnnaudit.interventions.map_layout import Layout, Trace, Traced, layout_of
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.parameters import ConstantParameters

# Calls behind the last feature maps that leave CAM its formula: one average, one linear layer, no function.
_AVERAGES = {"mean", "adaptive_avg_pool2d", "avg_pool2d", "sum"}
_LINEAR = {"linear", "conv2d", "addmm", "mm", "matmul"}
_SHAPES = {"flatten", "view", "reshape", "squeeze", "dropout", "contiguous", "getitem", "to", "float", "detach"}
_BIAS = {"add", "t", "transpose", "permute"}
# Calls on tokens that say what the tokens hold, other than a part of attention or of a hidden layer.
_TOKENS = {"add", "layer_norm", "native_layer_norm", "batch_norm", "group_norm", "rms_norm", "addcmul", "cat"}


def cam(
    model: nn.Module, images: torch.Tensor, class_index: ClassIndex = None, *, batch_size: int = 32
) -> torch.Tensor:
    """Class activation map: the last feature maps A_k summed with the class's own weights, sum_k w_ck A_k.

    For networks that average the last feature maps and apply one linear layer to them (ResNet, GoogLeNet, MobileNetV2):
    there the mean of the map plus the class's bias is the logit. The map is drawn at the size of the image by bilinear
    interpolation (half-pixel centers).

    Args:
        images: floating point (N, C, H, W).
        class_index: as in `scores`; None: the predicted class.

    Returns:
        (N, H, W), positive where a place speaks for the class, in units of the logit.

    Raises:
        UnsupportedError: something else than an average and one linear layer follows the last feature maps; Grad-CAM
            works there. Or the model hides its calls.
        AuditError, DataError, ModelError: as in `gradient`.

    Source: Zhou et al., Learning deep features for discriminative localization, CVPR 2016 (arXiv 1512.04150).

    Example:
        >>> import torch
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), pool, torch.nn.Flatten(), torch.nn.Linear(2, 3))
        >>> cam(net, torch.rand(4, 1, 8, 8), 0).shape
        torch.Size([4, 8, 8])
    """
    require_images(images)
    layer, layout, after = _last_maps(model, images)
    obstacles = [call.name for call in after if call.kind not in _AVERAGES | _LINEAR | _SHAPES | _BIAS]
    linear = [call.name for call in after if call.kind in _LINEAR]
    if obstacles or len(linear) > 1:
        found = ", ".join(obstacles or linear)
        raise UnsupportedError(
            f"CAM needs one average and one linear layer behind the last feature maps ({layer}), and there are "
            f"{found}; use grad_cam"
        )
    if layout.extra:
        raise UnsupportedError(f"CAM needs the plain average of places, and {layer} holds class tokens; use grad_cam")

    def one(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        maps, slope = _slopes(model, batch, target, layer, layout)
        middle = slope.mean((2, 3), keepdim=True)
        if not torch.allclose(slope, middle.expand_as(slope), rtol=1e-3, atol=1e-3 * float(slope.abs().max())):
            raise UnsupportedError(
                f"CAM needs the plain average of the last feature maps ({layer}), and this model weighs their places "
                "differently; use grad_cam"
            )
        weights = middle * (slope.shape[2] * slope.shape[3])
        return layout.over_image((weights * maps).sum(1), (batch.shape[2], batch.shape[3]))

    return say_where_zero(in_batches(one, model, images, class_index, batch_size=batch_size), "cam")


def grad_cam(
    model: nn.Module,
    images: torch.Tensor,
    class_index: ClassIndex = None,
    *,
    layer: str | None = None,
    batch_size: int = 32,
) -> torch.Tensor:
    """Grad-CAM: a layer's maps A_k weighted with the mean gradient of the logit y_c over each, max(0, sum_k a_k A_k).

    a_k = (1 / HW) sum_xy d y_c / d A_k[x, y]. Drawn at the size of the image by bilinear interpolation (half-pixel
    centers), a cropped map where it was cropped from and 0 outside; the gradient is computed from the layer on only.
    The layer may hold its maps as (N, C, H, W), (N, H, W, C) or as tokens: see `map_layout.layout_of`. Class
    and register tokens do not count.

    Args:
        images: floating point (N, C, H, W).
        class_index: as in `scores`; None: the predicted class.
        layer: a module or call with maps, named as in `interventions.calls`; None: the last one (`last_feature_maps`).

    Returns:
        (N, H, W), not negative, in units of the logit.

    Raises:
        UnsupportedError: the layer has no maps, or maps of a single pixel, or where its values stand in the image
            cannot be established; or the model hides its calls.
        LayerError: the model has no such layer.
        AuditError, DataError, ModelError: as in `gradient`.

    Source: Selvaraju et al., Grad-CAM, ICCV 2017 (arXiv 1610.02391).

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 3))
        >>> _ = torch.nn.init.ones_(net[2].weight)
        >>> images = torch.rand(4, 1, 8, 8)
        >>> grad_cam(net, images, 0).equal(images[:, 0]), last_feature_maps(net, images)
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
    target = in_batches(lambda b, c: class_indices(model, b, c), model, images, class_index, batch_size=batch_size)
    fine = guided_backpropagation(model, images, target, batch_size=batch_size)
    coarse = _grad_cam(model, images, target, layer, batch_size, "")
    return say_where_zero(fine * coarse[:, None], "guided_grad_cam")


def last_feature_maps(model: nn.Module, images: torch.Tensor) -> str:
    """The name of the last call that answers maps of more than one pixel, the default of `grad_cam`.

    Feature maps are values whose places in the image are established (see `map_layout`), whatever their axes. Where a
    class token is read, the last tokens from which the class can still be reached through other places count: in a
    vision transformer the normalization before the last attention.

    Raises:
        UnsupportedError: no call does, or the model hides its calls.
    """
    return _last_maps(model, images)[0]


def _last_maps(
    model: nn.Module, images: torch.Tensor, *, reached_only: bool = True
) -> tuple[str, Layout, list[Traced]]:
    """The last call with maps, its layout, and the calls after it; `reached_only`: that the class depends on."""
    made = Trace(model, one_batch(model, images)).calls()
    tokens: list[tuple[int, Layout]] = []
    for position in range(len(made) - 1, -1, -1):
        layout = made[position].layout
        if isinstance(layout, str) or not (layout.grid or made[position].kind in _TOKENS):
            continue
        tokens.append((position, layout))
        if not layout.extra:
            break
    reached = [layout.extra == 0 or not reached_only for _, layout in tokens]
    if tokens and not reached[0]:
        names = [made[position].name for position, _ in tokens]
        reached = _reaching(model, one_batch(model, images), names, [layout for _, layout in tokens])
    for (position, layout), counts in zip(tokens, reached):
        if counts:
            return made[position].name, layout, made[position + 1 :]
    raise UnsupportedError(
        "the model has no layer with feature maps of more than one pixel whose places in the image are established; "
        "use gradient or occlusion"
    )


def last_token_maps(model: nn.Module, images: torch.Tensor) -> Layout:
    """The layout of the last maps or tokens, whether or not the class depends on them. Errors as in `grad_cam`."""
    return _last_maps(model, images, reached_only=False)[1]


def _reaching(model: nn.Module, images: torch.Tensor, names: list[str], found: list[Layout]) -> list[bool]:
    """Whether the class of the first image depends on the layers' places, rather than on their class tokens alone."""
    with torch.inference_mode(False), torch.enable_grad(), evaluating(model):
        with record(model, names) as values:
            score = scores(model, images.clone().requires_grad_()).sum()
        kept = [values[name] for name in names]
        slopes = torch.autograd.grad(score, kept, allow_unused=True)
    return [slope is not None and bool(layout.maps(slope).any()) for slope, layout in zip(slopes, found)]


def _grad_cam(
    model: nn.Module, images: torch.Tensor, class_index: ClassIndex, layer: str | None, batch_size: int, name: str
) -> torch.Tensor:
    require_images(images)
    if layer is None:
        where, layout, _ = _last_maps(model, images)
    else:
        where, layout = layer, layout_of(model, one_batch(model, images), layer)

    def one(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        maps, slope = _slopes(model, batch, target, where, layout)
        coarse = (slope.mean((2, 3), keepdim=True) * maps).sum(1).relu()
        return layout.over_image(coarse, (batch.shape[2], batch.shape[3]))

    maps = in_batches(one, model, images, class_index, batch_size=batch_size)
    silent = ~maps.flatten(1).any(1)
    if name and silent.any():
        behind = " (behind the last attention only its class token counts: name a layer before it)" * bool(layout.extra)
        warnings.warn(
            f"{name}: no feature map of {where} contributes positively to the class in {int(silent.sum())} of "
            f"{len(maps)} images, first in number {int(silent.nonzero()[0])}: their weighted sum is nowhere "
            f"positive{behind}",
            RuntimeWarning,
            stacklevel=3,
        )
    return maps


def _slopes(
    model: nn.Module, batch: torch.Tensor, class_index: ClassIndex, layer: str, layout: Layout
) -> tuple[torch.Tensor, torch.Tensor]:
    """The maps of the layer and the gradient of the class's logit with respect to them, both (N, K, h, w)."""
    with torch.inference_mode(False), evaluating(model), ConstantParameters():
        with track_from(model, layer) as tracked:
            score = scores(model, batch.clone() if batch.is_inference() else batch, class_index)
        values = tracked.value
        slope = torch.autograd.grad(score.sum(), values, allow_unused=True)[0] if score.requires_grad else None
    return layout.maps(values.detach()), layout.maps(torch.zeros_like(values) if slope is None else slope)
