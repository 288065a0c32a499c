"""How each kind of unit is counted, per layer."""

from __future__ import annotations

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.units._kind_subject import FEW, Subject
from cnnaudit.units.shares import LayerShare, layer_share

SHUFFLES = 39  # of each unit's weights; p is at least 1 / 40


def published_border(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units.border import border_aware

    return border_aware(subject.model, image=subject.image, seed=subject.seed)


def calibrated_border(subject: Subject) -> list[LayerShare]:
    return subject.ordered


def confirmed_border(subject: Subject) -> list[LayerShare]:
    own, twin = _both(subject), _both(subject.fresh) if subject.fresh else {}
    return [
        layer_share(
            layer,
            units,
            found,
            null=len(twin[layer][1]) / units if layer in twin else None,
            null_name="untrained twin" if layer in twin else "",
        )
        for layer, (units, found) in own.items()
    ]


def _both(subject: Subject) -> dict[str, tuple[int, list[int]]]:
    """Per layer how many units it has, and those that are both ordered and confirmed."""
    from cnnaudit.units._noise_padding import noise_padding_of_layers

    confirmed = {
        one.layer: one.confirmed
        for one in noise_padding_of_layers(subject.model, subject.images[:FEW], seed=subject.seed)
    }
    return {
        row.layer: (row.units, [unit for unit in row.found if confirmed[row.layer][unit]])
        for row in subject.ordered
        if row.layer in confirmed
    }


def gray_kernels(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units.color import WEIGHTS, color_blind, kernel_color

    twin = subject.twin
    null = None if twin is None else kernel_color(twin, subject.image)
    return color_blind(kernel_color(subject.model, subject.image), WEIGHTS, null=null)


def hue(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units.color import RESPONSE, color_blind, hue_sensitivity

    twin = subject.twin
    null = None if twin is None else hue_sensitivity(twin, subject.images[:FEW])
    return color_blind(hue_sensitivity(subject.model, subject.images[:FEW]), RESPONSE, null=null)


def hue_of_optima(subject: Subject) -> list[LayerShare]:
    import torch

    from cnnaudit.units.color import OPTIMIZED, color_blind, hue_loss

    _require_optima(subject)
    readings = []
    for layer, optima in subject.optima.items():
        images = torch.from_numpy(optima.images).float() / 255
        readings.append(hue_loss(subject.model, layer, optima.units.tolist(), images))
    return color_blind(readings, OPTIMIZED)


def peaks_of_optima(subject: Subject) -> list[LayerShare]:
    """By the published rule: the spread of the channels' most frequent levels in the optimized image."""
    import numpy as np
    import torch

    from cnnaudit.units._kernels import kernels
    from cnnaudit.units.color import PEAKS, LayerColor, color_blind, peak_spread

    _require_optima(subject)
    population = {one.layer: one.units for one in kernels(subject.model, subject.image)}
    readings = []
    for layer, optima in subject.optima.items():
        spread = peak_spread(torch.from_numpy(optima.images).float() / 255)
        readings.append(LayerColor(layer, optima.units, spread, population[layer]))
    return color_blind(readings, float(np.nextafter(PEAKS, np.inf)))


def dead_units(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units._dead import dead

    return dead(subject.model, subject.images, twin=subject.twin)


def copied(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units._duplicates import duplicates

    return duplicates(subject.model, image=subject.image, seed=subject.seed)


def like_noise(subject: Subject) -> list[LayerShare]:
    from cnnaudit.units._kernels import kernels
    from cnnaudit.units.untrained import ALPHA, noise_p_values

    layers = [one for one in kernels(subject.model, subject.image) if one.layer in subject.layers]
    found = noise_p_values(layers, permutations=SHUFFLES, seed=subject.seed)
    return [
        layer_share(row.layer, row.population, row.units[row.noise], null=1 - ALPHA, null_name="initialization")
        for row in found
        if row.tests
    ]


def _require_optima(subject: Subject) -> None:
    """Refuse subjects whose optimized images tell nothing of color."""
    if subject.images.shape[1] != 3:
        raise UnsupportedError("gray images have no color")
    if not subject.optima:
        raise UnsupportedError("no layer has optimized images yet: make them with `cnnaudit atlas`")
