"""How an image is written as numbers to be optimized: pixels, decorrelated Fourier coefficients, learned codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch.nn import functional

from cnnaudit.models.autoencoder import Autoencoder

Size = tuple[int, int]

# Square root of the covariance of the channels of natural photographs, largest singular value 1 (Olah et al. 2017).
PHOTOGRAPHS = ((0.5628, 0.1948, 0.0433), (0.5845, 0.0, -0.1082), (0.5845, -0.1948, 0.0649))


class Parameterization(Protocol):
    """Images as numbers that an ascent changes."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """The numbers (n, …) of images (n, C, H, W)."""

    def decode(self, numbers: torch.Tensor, size: Size) -> torch.Tensor:
        """The images (n, C, H, W) of the numbers, differentiable; of another size they are stretched to it."""

    def project(self, numbers: torch.Tensor) -> torch.Tensor:
        """The nearest numbers that are allowed."""


@dataclass(frozen=True)
class Pixels:
    """The pixels themselves.

    Attributes:
        box: keep them in [0, 1].
        norm: the largest Euclidean norm of I - center, per image; None: no bound.
        center: the gray that norms are measured from.
    """

    box: bool = True
    norm: float | None = None
    center: float = 0.5

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return self.project(images.clone())

    def decode(self, numbers: torch.Tensor, size: Size) -> torch.Tensor:
        return numbers

    def project(self, numbers: torch.Tensor) -> torch.Tensor:
        if self.norm is not None:
            length = (numbers - self.center).flatten(1).norm(dim=1).clamp_min(1e-12)
            numbers = self.center + (numbers - self.center) * (self.norm / length).clamp_max(1)[:, None, None, None]
        return numbers.clamp(0, 1) if self.box else numbers


@dataclass(frozen=True)
class Fourier:
    """Fourier coefficients scaled to equal energy at all frequencies, channels decorrelated, squashed into (0, 1).

    I = sigmoid(M F^-1(z / max(f, 1 / side)^decay)), with f the frequency of a coefficient in cycles per pixel and M
    the square root of the channels' covariance. Steps then change low frequencies as much as high ones.

    Attributes:
        decay: how much faster low frequencies move; 1 suits natural images, 0 is plain Fourier.
        colors: M, rows of three numbers for color images; None: channels as they are. Gray images have none.

    Source: C. Olah, A. Mordvintsev, L. Schubert, Feature visualization, Distill 2017.
    """

    decay: float = 1.0
    colors: tuple[tuple[float, ...], ...] | None = PHOTOGRAPHS

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        plane = torch.logit(images.float().clamp(0.01, 0.99))
        matrix = self._colors(images)
        if matrix is not None:
            plane = (torch.linalg.inv(matrix) @ plane.flatten(2)).view(plane.shape)
        height, width = images.shape[2:]
        spectrum = torch.fft.rfft2(plane, norm="ortho") / _scale(height, width, self.decay, images.device)
        return torch.view_as_real(spectrum).contiguous()

    def decode(self, numbers: torch.Tensor, size: Size) -> torch.Tensor:
        spectrum = torch.view_as_complex(numbers) * _scale(*size, self.decay, numbers.device)
        plane = torch.fft.irfft2(spectrum, s=size, norm="ortho")
        matrix = self._colors(plane)
        if matrix is not None:
            plane = (matrix @ plane.flatten(2)).view(plane.shape)
        images: torch.Tensor = plane.sigmoid()
        return images

    def project(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers

    def _colors(self, images: torch.Tensor) -> torch.Tensor | None:
        if self.colors is None or images.shape[1] != len(self.colors):
            return None
        return images.new_tensor(self.colors, dtype=images.dtype)


@lru_cache(maxsize=8)
def _scale(height: int, width: int, decay: float, device: torch.device) -> torch.Tensor:
    """The size of each Fourier coefficient, mean square 1."""
    with torch.inference_mode(False):
        rows, columns = torch.fft.fftfreq(height, device=device), torch.fft.rfftfreq(width, device=device)
        frequency = torch.hypot(rows[:, None], columns[None]).clamp_min(1 / max(height, width))
        scale = frequency**-decay
        return scale / scale.square().mean().sqrt()


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images as an autoencoder's decoder makes them of a code: only what looks like its training images.

    Codes stay within the range that those images had. An image is what the decoder makes of it to begin with, and of
    the size it was trained for.

    Source: A. Nguyen et al., Synthesizing the preferred inputs for neurons in neural networks via deep generator
    networks, 2016.

    Example:
        >>> import torch
        >>> from cnnaudit.training import fit_autoencoder
        >>> from cnnaudit.optimization import Decoded
        >>> images = torch.rand(8, 1, 6, 6)
        >>> prior = Decoded(fit_autoencoder((images, torch.zeros(8)), code=4, hidden=8, epochs=1))
        >>> prior.encode(images).shape
        torch.Size([8, 4])
    """

    autoencoder: Autoencoder

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        size = list(self.autoencoder.shape[1:])
        if list(images.shape[2:]) != size:
            images = functional.interpolate(images, size, mode="bilinear", antialias=True)
        with torch.no_grad():
            return self.project(self.autoencoder.encoder(images))

    def decode(self, numbers: torch.Tensor, size: Size) -> torch.Tensor:
        images: torch.Tensor = self.autoencoder.decoder(numbers)
        return images

    def project(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers.clamp(self.autoencoder.lowest, self.autoencoder.highest)
