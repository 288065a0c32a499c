"""How much of the image lies in coarse and in fine detail."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.cues.protocol import check_images, check_pair

#: Limits of the frequency bands in cycles per pixel; .5 is the finest grid of rows or columns.
BANDS = (0.0, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1.0)
_LEAST = 1e-10


@dataclass(frozen=True)
class Spectrum:
    """Energy of five frequency bands, an octave each; the mean of the image is in none.

    Example:
        >>> Spectrum().read(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 5])
    """

    name: str = "spectrum"

    def read(self, images: Tensor) -> Tensor:
        """Logarithm of the mean energy per band, over all channels: (N, 5), fewer on images of under 17 pixels.

        Raises:
            UnsupportedError: images of one pixel have no frequencies.
        """
        check_images(images, self.name)
        return _energies(torch.fft.fft2(images), _bands(images)).clamp_min(_LEAST).log()

    def transplant(self, images: Tensor, donors: Tensor) -> Tensor:
        """The images with every band scaled to the donors' energy, phases kept, clipped to [0, 1]."""
        check_pair(images, donors, self.name)
        bands, waves = _bands(images), torch.fft.fft2(images)
        own, wanted = _energies(waves, bands), _energies(torch.fft.fft2(donors), bands)
        factors = (wanted / own.clamp_min(_LEAST)).sqrt() @ bands.flatten(1)
        factors = factors.view(len(images), 1, *images.shape[2:])
        factors[..., 0, 0] = 1
        changed: Tensor = torch.fft.ifft2(waves * factors).real.clamp(0, 1)
        return changed


def radius(images: Tensor) -> Tensor:
    """Frequency of each Fourier coefficient in cycles per pixel, (H, W)."""
    rows, columns = (torch.fft.fftfreq(n, device=images.device, dtype=images.dtype) for n in images.shape[2:])
    return torch.hypot(rows[:, None], columns[None, :])


def _bands(images: Tensor) -> Tensor:
    """Which band each coefficient is in, empty bands left out: 0 or 1, (bands, H, W)."""
    frequency = radius(images)
    bands = torch.stack([(frequency > low) & (frequency <= high) for low, high in pairwise(BANDS)])
    bands = bands[bands.flatten(1).any(dim=1)]
    if not len(bands):
        raise UnsupportedError("spectrum: images of one pixel have no frequencies")
    return bands.to(images.dtype)


def _energies(waves: Tensor, bands: Tensor) -> Tensor:
    """Mean squared amplitude per pixel and band, (N, bands)."""
    power = waves.abs().square().mean(dim=1).flatten(1) / waves.shape[2:].numel()
    return power @ bands.flatten(1).T / bands.flatten(1).sum(dim=1)
