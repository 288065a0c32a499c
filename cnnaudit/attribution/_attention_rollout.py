"""Attention rollout: where the class token of a vision transformer looks, through all of its layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from cnnaudit.attribution._cam import last_token_maps
from cnnaudit.attribution.batches import in_batches, require_images
from cnnaudit.attribution.scores import ClassIndex, finite_logits, indices
from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions.modes import evaluating

_SOFTMAX = ("aten::_softmax", "aten::_safe_softmax")


def attention_rollout(
    model: nn.Module, images: torch.Tensor, class_index: ClassIndex = None, *, batch_size: int = 32
) -> torch.Tensor:
    """Attention rollout: the product of the layers' attention matrices, each averaged over heads and with its shortcut.

    R = B_L ... B_1 with B_l = (mean over heads of A_l + I) / 2; the row of the class token, or without one the mean of
    all rows, at the places of the patches. Drawn at the size of the image by bilinear interpolation (half-pixel
    centers). It says where the network looks, whatever the class: the class changes nothing.

    Attention is what the model itself computes, in `scaled_dot_product_attention`, `MultiheadAttention` or as a softmax
    of its own of square matrices.

    Args:
        images: floating point (N, C, H, W).
        class_index: as in `scores`; checked only.

    Returns:
        (N, H, W), in [0, 1]; the patches of an image add up to at most 1 before they are drawn.

    Raises:
        UnsupportedError: the model has no attention over the whole image: none (a network of convolutions), or within
            windows (Swin), or of another number of tokens in some layers. Or it hides its calls.
        AuditError, DataError, ModelError: as in `gradient`.

    Source: Abnar and Zuidema, Quantifying attention flow in transformers, ACL 2020 (arXiv 2005.00928).

    Example:
        >>> import torch
        >>> from torchvision.models import VisionTransformer
        >>> net = VisionTransformer(8, 4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=3)
        >>> attention_rollout(net, torch.rand(2, 3, 8, 8)).shape
        torch.Size([2, 8, 8])
    """
    require_images(images)

    def checked(batch: torch.Tensor, target: ClassIndex) -> torch.Tensor:
        with torch.no_grad():
            return indices(finite_logits(model, batch), target)

    in_batches(checked, model, images, class_index, batch_size=batch_size)
    _rolled(model, images[:1].detach())  # a model without attention is refused before its maps are looked for
    layout = last_token_maps(model, images)

    def one(batch: torch.Tensor) -> torch.Tensor:
        flow = _rolled(model, batch)
        cells = torch.as_tensor(layout.cells.ravel(), device=flow.device)
        if len(cells) + layout.extra != flow.shape[1]:
            raise UnsupportedError(
                f"attention rollout needs one token for each place of the image, and {flow.shape[1]} tokens attend to "
                f"each other where the last maps have {len(cells)} places"
            )
        others = [k for k in range(flow.shape[1]) if k not in set(layout.cells.ravel().tolist())]
        row = flow[:, others[0]] if others else flow.mean(1)
        maps = row[:, cells].reshape(len(batch), *layout.cells.shape)
        return layout.over_image(maps, (batch.shape[2], batch.shape[3])).to(batch.dtype)

    return in_batches(one, model, images, batch_size=batch_size)


def _rolled(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The rollout of all layers, float (N, T, T)."""
    seen = _Attention(len(images))
    with evaluating(model), _plain_attention(), torch.no_grad(), seen:
        model(images)
    if not seen.matrices:
        raise UnsupportedError(
            "attention rollout needs attention between the places of the image, and this model computes none (no "
            "square softmax in its pass); use grad_cam or occlusion"
        )
    sizes = sorted({matrix.shape[-1] for matrix in seen.matrices})
    if seen.windows or len(sizes) > 1:
        kinds = "within windows" if seen.windows else f"among {sizes} tokens in different layers"
        raise UnsupportedError(
            f"attention rollout multiplies the attention of all layers, and this model attends {kinds}, so that the "
            "product does not exist; use grad_cam or occlusion"
        )
    flow = torch.eye(sizes[0], dtype=torch.float32, device=images.device).expand(len(images), -1, -1)
    for matrix in seen.matrices:
        flow = (matrix @ flow + flow) / 2
    return flow


class _Attention(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the attention matrices of a pass, averaged over heads."""

    def __init__(self, count: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count, self.windows = count, False
        self.matrices: list[torch.Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        if func._schema.name in _SOFTMAX and answer.ndim in (3, 4) and answer.shape[-1] == answer.shape[-2] > 1:
            if (answer.ndim == 4 and answer.shape[0] != self.count) or answer.shape[0] % self.count:
                self.windows = True
            else:
                heads = answer.detach().float().reshape(self.count, -1, *answer.shape[-2:])
                self.matrices.append(heads.mean(1))
        return answer


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention as its formula, so that its matrices exist: without fused kernels."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
