"""What padding does to a network: geometry, responses at the border, predictions, blind spots.

Importing this package imports no torch; names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnaudit.padding.background import backgrounds, content_box
    from cnnaudit.padding.blind_spot import (
        BlindSpot,
        Stimulus,
        find_blind_spot,
        paired_drop_interval,
        positions,
        stimulus_of,
    )
    from cnnaudit.padding.border import BorderMaxima, BorderResponse, border_maxima, border_response, padded_layers
    from cnnaudit.padding.flips import (
        changed_by_noise,
        changed_by_replicate,
        noise_effects,
        padding_convolutions,
        untrained_twin,
    )
    from cnnaudit.padding.geometry import Application, applications, even_sizes

_HOMES = {
    "backgrounds": "background",
    "content_box": "background",
    "BlindSpot": "blind_spot",
    "Stimulus": "blind_spot",
    "find_blind_spot": "blind_spot",
    "paired_drop_interval": "blind_spot",
    "positions": "blind_spot",
    "stimulus_of": "blind_spot",
    "BorderMaxima": "border",
    "BorderResponse": "border",
    "border_maxima": "border",
    "border_response": "border",
    "padded_layers": "border",
    "changed_by_noise": "flips",
    "changed_by_replicate": "flips",
    "noise_effects": "flips",
    "padding_convolutions": "flips",
    "untrained_twin": "flips",
    "Application": "geometry",
    "applications": "geometry",
    "even_sizes": "geometry",
}

__all__ = [
    "Application",
    "BlindSpot",
    "BorderMaxima",
    "BorderResponse",
    "Stimulus",
    "applications",
    "backgrounds",
    "border_maxima",
    "border_response",
    "changed_by_noise",
    "changed_by_replicate",
    "content_box",
    "even_sizes",
    "find_blind_spot",
    "noise_effects",
    "padded_layers",
    "padding_convolutions",
    "paired_drop_interval",
    "positions",
    "stimulus_of",
    "untrained_twin",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
