"""Noise of sensors: Gaussian, of single photons, of dead pixels."""

from __future__ import annotations

import torch


def gaussian_noise(images: torch.Tensor, deviation: float, size: float, generator: torch.Generator) -> torch.Tensor:
    """x + N(0, deviation^2), each value on its own."""
    return images + deviation * torch.randn(images.shape, generator=generator).to(images)


def shot_noise(images: torch.Tensor, photons: float, size: float, generator: torch.Generator) -> torch.Tensor:
    """Poisson(x * photons) / photons: white is so many photons on average."""
    counts = torch.poisson(images.detach().to("cpu", torch.float32) * photons, generator=generator)
    return (counts / photons).to(images)


def impulse_noise(images: torch.Tensor, share: float, size: float, generator: torch.Generator) -> torch.Tensor:
    """That share of the values is replaced, half of them by 0 and half by 1 (salt and pepper)."""
    hit = torch.rand(images.shape, generator=generator) <= share
    salt = torch.rand(images.shape, generator=generator) <= 0.5
    return torch.where(hit.to(images.device), salt.to(images), images)
