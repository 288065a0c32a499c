"""What both checks of minimum models start from: small images, seeds, and the size of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnaudit.checks import CheckContext

if TYPE_CHECKING:
    from cnnaudit.checks.minimum_model._frontier import Arrays
    from cnnaudit.target import AuditTarget


THESIS = "España (2021), Sensitivity analysis of the CNN learning process using synthetic images, Table I"


def small_images(sample: tuple[Any, Any]) -> Arrays:
    """Images of at most 32 pixels, and labels, as arrays."""
    from cnnaudit.target.shrink import shrink

    return shrink(sample[0]), sample[1].numpy()


def network_seeds(context: CheckContext, count: int, *labels: str) -> list[int]:
    """Seeds of networks: others for another seed of the run, so that a run's luck is its own."""
    found: list[int] = context.generator(*labels).integers(0, 2**31, count).tolist()
    return found


def parameter_count(target: AuditTarget) -> int:
    return sum(parameter.numel() for parameter in target.model.parameters())
