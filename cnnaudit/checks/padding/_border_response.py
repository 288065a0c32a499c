"""What padding alone excites in each layer, on images of pure background."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cnnaudit.checks.padding._layer_responses import batches, responses
from cnnaudit.data.background import backgrounds


@dataclass(frozen=True, slots=True)
class BorderResponse:
    """What images of pure background excite at the border.

    Attributes:
        layers: the convolutions, in the order of the columns.
        excess: (N, L), per image and layer the mean over units of the strongest response that padding alone causes.
        peak: (N, L), per image and layer the mean over units of the strongest response to the image itself.
        maps: per layer (h, w), the mean over images and units of the response that padding alone causes.
    """

    layers: tuple[str, ...]
    excess: np.ndarray
    peak: np.ndarray
    maps: Mapping[str, np.ndarray]

    def shares(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Per layer (L,), excess / peak, each summed over all images or those of `rows`; 0 where a layer is dead."""
        chosen = slice(None) if rows is None else rows
        excess, peak = self.excess[chosen].sum(0), self.peak[chosen].sum(0)
        return np.asarray(np.divide(excess, peak, out=np.zeros_like(excess), where=peak > 0))


def border_response(
    model: nn.Module, images: torch.Tensor, layers: Mapping[str, str], *, batch_size: int = 16, device: str = "cpu"
) -> BorderResponse:
    """What images of pure background excite at the border, layer by layer, beside what the images themselves excite.

    Every image gives one constant image b of its own background color. Under replicate padding, b is answered by the
    same value everywhere, which is what an interior that no padding reaches answers. With A(b) the activations (after
    the activation function) of a unit, excess = max over pixels of max(0, A(b) - A_replicate(b)) and
    peak = max over pixels of max(0, A(image)); both are averaged over the units of a layer. The comparison needs no
    ring of fixed width, so it holds in deep layers too, where the padding reaches far into the map.

    Args:
        images: float (N, C, H, W).
        layers: as `padded_layers` gives them.

    Source: España, Sensitivity analysis of the CNN learning process using synthetic images, 2021.
    """
    colors, where = torch.unique((backgrounds(images) * 255).round() / 255, dim=0, return_inverse=True)
    excess: list[np.ndarray] = []
    peak: list[np.ndarray] = []
    maps: dict[str, np.ndarray] = {name: np.zeros(()) for name in layers}
    share = (torch.bincount(where, minlength=len(colors)) / len(images)).to(device)
    for batch in batches(model, colors, batch_size, device, "border response: empty images"):
        flat = batch[:, :, None, None].expand(-1, -1, *images.shape[-2:])
        native, extended = responses(model, flat, layers), responses(model, flat, layers, replicate=True)
        done = sum(map(len, excess))
        columns = []
        for name in layers:
            added = (native[name] - extended[name]).clamp(min=0)
            columns.append(added.amax((-2, -1)).mean(1))
            mean = torch.einsum("n,nhw->hw", share[done : done + len(flat)].to(added), added.mean(1))
            maps[name] = maps[name] + mean.double().cpu().numpy()
        excess.append(torch.stack(columns, 1).double().cpu().numpy())
    for batch in batches(model, images, batch_size, device, "border response: images"):
        own = responses(model, batch, layers)
        columns = [own[name].clamp(min=0).amax((-2, -1)).mean(1) for name in layers]
        peak.append(torch.stack(columns, 1).double().cpu().numpy())
    return BorderResponse(tuple(layers), np.concatenate(excess)[where.numpy()], np.concatenate(peak), maps)
