"""One way into any model: calls observed, activations recorded, padding replaced, the pass stopped early.

Names: `layer1.0.conv1` is a module as in `named_modules()`; `layer1.0/relu:2` is the second `relu` call made in the
scope of `layer1.0` itself; `layer1.0.relu:2` is the second call of a module that is used more than once. Calls of the
model's own forward belong to the scope with the empty name: `/add:1`.

Contexts nest, act on the thread that entered them, and leave the model as it was: its hooks, modes and gradients.
Functions that run the model (`calls`, `run_until`, `input_of`) do so in evaluation mode; in a pass of your own inside
`record` and the like a model in training mode still updates its batch statistics: call `eval()` first.

Importing this package imports no torch; names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnaudit.interventions.geometry import Geometry
    from cnnaudit.interventions.inputs import input_of
    from cnnaudit.interventions.module_paths import LayerError
    from cnnaudit.interventions.padding import padding_rule
    from cnnaudit.interventions.recording import record, run_until, stop_at
    from cnnaudit.interventions.rectification import relu_rule
    from cnnaudit.interventions.tracing import Call, calls
    from cnnaudit.interventions.tracking import track_from

_HOMES = {
    "Call": "tracing",
    "calls": "tracing",
    "Geometry": "geometry",
    "input_of": "inputs",
    "padding_rule": "padding",
    "record": "recording",
    "relu_rule": "rectification",
    "run_until": "recording",
    "stop_at": "recording",
    "track_from": "tracking",
    "LayerError": "module_paths",
}

__all__ = [
    "Call",
    "Geometry",
    "LayerError",
    "calls",
    "input_of",
    "padding_rule",
    "record",
    "relu_rule",
    "run_until",
    "stop_at",
    "track_from",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
