"""Small models that need no training steps: what a planted target is asked with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

_PENALTY = 0.3


def readout(images: np.ndarray, labels: np.ndarray, classes: int) -> nn.Sequential:
    """A small convolutional network fitted in closed form: random 3x3 filters, ReLU, 4x4 max pooling, ridge regression.

    It reaches .95 on the digits and .99 on noisy shapes from 500 images, within a fraction of a second.

    Args:
        images: float (n, C, H, W) in [0, 1]; at most the first 1,000 of each class are used.
        labels: (n,) in 0..classes-1.
    """
    import torch
    from torch import nn

    from cnnaudit.checks.random_filters import FILTERS, GRID, random_filters

    used = np.concatenate([np.nonzero(labels == k)[0][:1000] for k in range(classes)])
    pixels, truth = torch.from_numpy(images[used]).float(), torch.from_numpy(labels[used])
    convolution = nn.Conv2d(pixels.shape[1], FILTERS, 3, bias=False)
    linear = nn.Linear(FILTERS * GRID**2, classes)
    network = nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveMaxPool2d(GRID), nn.Flatten(), linear)
    with torch.no_grad():
        convolution.weight.copy_(random_filters(pixels.shape[1]))
        features = torch.cat([network[:4](batch) for batch in torch.split(pixels, 256)]).double()
        weights, bias = _ridge(features, nn.functional.one_hot(truth, classes).double())
        linear.weight.copy_(weights.T)
        linear.bias.copy_(bias)
    return network.eval()


def _ridge(features: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (d, K) and bias (K,) of ridge regression on standardized features, for the features as they are."""
    import torch

    center, scale = features.mean(dim=0), features.std(dim=0).clamp(min=1e-3)
    standard = (features - center) / scale
    mean = targets.mean(dim=0)
    n, d = standard.shape
    if n < d:
        gram = standard @ standard.T / d + _PENALTY * torch.eye(n, dtype=standard.dtype)
        solved = standard.T @ torch.linalg.solve(gram, targets - mean) / d
    else:
        gram = standard.T @ standard / d + _PENALTY * torch.eye(d, dtype=standard.dtype)
        solved = torch.linalg.solve(gram, standard.T @ (targets - mean)) / d
    weights = solved / scale[:, None]
    return weights, mean - center @ weights


def reads_pixel(classes: int) -> nn.Module:
    """A model that answers what the first pixel of an image says: class k where its brightness is nearest k / (K - 1).

    With it, a target can be given any predictions: they are written into the images.
    """
    import torch
    from torch import nn

    class ReadsPixel(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            levels = torch.linspace(0, 1, classes, device=images.device)
            return -10 * (images[:, :1, 0, 0] - levels).abs()

    return ReadsPixel()


def write_predictions(images: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """The images with those predictions in their first pixel, as `reads_pixel` reads them."""
    written = images.copy()
    written[:, :, 0, 0] = (predicted / max(classes - 1, 1))[:, None]
    return written
