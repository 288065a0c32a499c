"""How a method is asked, and what is raised where it does not conform."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from cnnaudit.attribution.methods import Method
from cnnaudit.core.errors import AuditError
from cnnaudit.testing.posing_device import carried

LEAST_REASON = 20  # characters of a refusal


class NotConformingError(AssertionError):
    """A method does not hold what every method must."""


def attribute(
    method: Method, model: nn.Module, images: torch.Tensor, class_index: Any = 1, seed: int | None = None
) -> torch.Tensor:
    """The attribution of what every method must take; warnings are not the matter here."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: torch.Tensor = method.compute(model, images, class_index, generator)
    except Exception as error:
        raise NotConformingError(f"{method.name} raises {type(error).__name__}: {error}") from error
    return found


def attribute_or_refuse(
    method: Method, model: nn.Module, images: torch.Tensor, class_index: Any, what: str
) -> torch.Tensor | None:
    """The attribution, or None where the method refuses with a reason."""
    try:
        return attribute(method, model, images, class_index)
    except NotConformingError as error:
        cause = error.__cause__
        if not isinstance(cause, AuditError):
            raise NotConformingError(
                f"{error}, for {what}; expected an attribution or an AuditError that says why not"
            ) from cause
        require(len(str(cause)) >= LEAST_REASON, method, f"refuses {what} without a reason: {cause}")
        return None


def require(condition: bool, method: Method, what: str) -> None:
    """Raise NotConformingError unless the condition holds."""
    if not condition:
        raise NotConformingError(f"{method.name} {what}")


def require_shape(found: torch.Tensor, images: torch.Tensor, method: Method, what: str) -> None:
    """Raise NotConformingError unless the attribution is finite, of the images' shape, type and device."""
    shape = tuple(images.shape) if method.per_channel else (len(images), *images.shape[2:])
    require(tuple(found.shape) == shape, method, f"answers {tuple(found.shape)} for {what}, expected {shape}")
    require(found.dtype == images.dtype, method, f"answers {found.dtype} for {what}, expected {images.dtype}")
    require(found.device == images.device, method, f"answers on {found.device} for {what}, expected {images.device}")
    require(bool(carried(found).isfinite().all()), method, f"answers NaN or infinity for {what}")


def require_close(
    found: torch.Tensor, expected: torch.Tensor, method: Method, what: str, tolerance: float = 1e-4
) -> None:
    """Raise NotConformingError where two attributions differ by more than that share of the largest value."""
    found, expected = carried(found).double(), carried(expected).double()
    require(found.shape == expected.shape, method, f"has the shape {tuple(found.shape)} {what}")
    largest = float(expected.abs().max())
    off = float((found - expected).abs().max())
    require(off <= tolerance * largest, method, f"differs by {off:.2g} of at most {largest:.2g} {what}")


def require_alike(found: torch.Tensor, expected: torch.Tensor, method: Method, what: str, likeness: float) -> None:
    """Raise NotConformingError where the cosine of two attributions is smaller; those that are zero are alike."""
    found, expected = carried(found).double().flatten(), carried(expected).double().flatten()
    cosine = float(torch.nn.functional.cosine_similarity(found, expected, 0))
    alike = cosine >= likeness or not (found.any() or expected.any())
    require(alike, method, f"has a cosine of {cosine:.3f} {what}, expected at least {likeness}")
