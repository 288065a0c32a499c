"""Do the methods that look inside leave the model as it was, and does every ReLU follow their rule?

A method that changes the model falsifies whatever is measured after it, and a ReLU that is hidden from a rule falsifies
the picture. The audit compares the model bit by bit before and after each method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cnnaudit.checks import CheckContext, Plant, check
from cnnaudit.checks.fidelity._digit_targets import digits_target, drawn
from cnnaudit.checks.fidelity._methods import effort, judged, subject
from cnnaudit.checks.populations import ordinary
from cnnaudit.core import evidence
from cnnaudit.core.findings import Finding, Location

if TYPE_CHECKING:
    import torch

    from cnnaudit.target import AuditTarget


@check(
    question="Do the methods that look inside leave the model as it was, and does every ReLU follow their rule?",
    statistic="promises that do not hold",
    unit="promises",
    direction="at_most",
    tolerance=0,
    gate=True,
    remedy="Write every ReLU as nn.ReLU, F.relu or clamp(min=0), so that its backward rule can be replaced, and change "
    "no buffer in the forward pass of a model in eval() mode; until then believe none of the pictures named here.",
    reference="What hooks on modules miss: pytorch/captum issues 1082 and 973",
    needs=("validation", "inside"),
    exact=True,
)
def integrity(context: CheckContext) -> Finding:
    """Broken promises: the model's state and logits before and after each method, and the reach of the ReLU rules.

    Counted are (1) what a plain forward pass changes in the model; (2) for the rules `deconvnet` and `guided`, every
    call whose answer is the ReLU of its input without following the rule (found by its values, so that `x * (x > 0)` is
    too), and logits inside the rule that are not bit-identical; (3) for each method, parameters, buffers, `.grad`,
    `requires_grad`, modes, hooks, the global random state, the images or the logits afterwards that are not what they
    were, bit by bit; (4) guided backpropagation equal to the gradient although a negative gradient met an active ReLU.
    All on 2 images; methods whose cost exceeds the profile are left out. The tolerance is 0: it is arithmetic.
    """
    target = context.target
    from cnnaudit.checks.fidelity._budget import affordable
    from cnnaudit.checks.fidelity._promises import integrity

    shown, spec = subject(context), target.input
    counts, refused = affordable(_attributions(), replace(effort(context), methods=None), spec.channels, spec.size)
    found = integrity(target.model, shown.images[:2], shown.classes[:2], {n: _compute(context, n) for n in counts})
    broken, count = found.broken, len(found.broken)
    faulty = {item.who for item in broken}
    rows = [[item.who, item.promise, item.layer or None] for item in broken]
    answers = [*([name, "broken" if name in faulty else "holds"] for name in found.asked)]
    answers += [[name, reason] for name, reason in {**refused, **found.refused}.items()]
    summary = (
        f"{count} promise{'s do' if count > 1 else ' does'} not hold; the first: {broken[0].who}"
        f"{f' at {broken[0].layer}' if broken[0].layer else ''}, {broken[0].promise}."
        if broken
        else f"The model and its logits stay as they are, bit by bit, through {len(found.asked) - 1} methods and "
        "rules, and every ReLU follows its rule."
    )
    return context.judge(
        count,
        (count, count),
        n=len(found.asked),
        n_unit="methods and rules",
        summary=summary,
        locations=[Location(1, layer=item.layer) for item in broken if item.layer],
        evidence=[
            *([evidence.table("What does not hold", ["who", "promise", "layer"], rows)] if rows else []),
            evidence.table("Methods and rules", ["asked", "answer"], answers),
        ],
    )


def _attributions() -> list[str]:
    """The names of all methods that are no baselines."""
    from cnnaudit.attribution.methods import METHODS

    return judged(METHODS)


def _compute(context: CheckContext, name: str) -> Callable[..., torch.Tensor]:
    """A method with a generator of its own."""
    from cnnaudit.checks.fidelity._attribution_maps import quiet

    return lambda model, images, classes: quiet(name, model, images, classes, context.torch_generator(name))


def rectified(seed: int, arithmetic: bool) -> AuditTarget:
    """A network whose ReLUs are a module used twice, functional calls, in place, and a last one.

    The last one is written as `x * (x > 0)`, which no rule can reach, or as a method call.
    """
    from torch import nn
    from torch.nn import functional

    class Rectified(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 8, 3)
            self.third, self.last = nn.Conv2d(8, 8, 3), nn.Linear(8, 10)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = self.relu(self.first(images))
            x = functional.max_pool2d(self.relu(self.second(x)), 2)
            y = self.third(x)
            x = functional.relu(y, inplace=True) + x[..., 1:-1, 1:-1]
            x = x - x.mean((1, 2, 3), keepdim=True)
            x = x * (x > 0) if arithmetic else x.relu()
            logits: torch.Tensor = self.last(x.mean((2, 3)))
            return logits

    return digits_target("ReLU written as arithmetic" if arithmetic else "ReLUs of all kinds", drawn(Rectified(), seed))


def counting(seed: int, counts: bool) -> AuditTarget:
    """A network that counts its forward passes in a buffer, in evaluation mode too, or in training mode only."""
    import torch
    from torch import nn

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("passes", torch.zeros(()))
            self.features = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.last = nn.Linear(6, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if counts or self.training:
                self.get_buffer("passes").add_(1)
            logits: torch.Tensor = self.last(self.features(images))
            return logits

    return digits_target("counts its passes" if counts else "counts in training", drawn(Counting(), seed))


PLANTS = [
    Plant(
        "a ReLU written as x * (x > 0) beside real ones",
        partial(rectified, arithmetic=True),
        partial(rectified, arithmetic=False),
    ),
    Plant("a forward pass that changes a buffer", partial(counting, counts=True), partial(counting, counts=False)),
]


POPULATIONS = ordinary(seeds=300)
