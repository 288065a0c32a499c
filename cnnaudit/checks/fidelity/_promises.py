"""Is the model the same before, during and after a method, and did every ReLU get its rule?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from cnnaudit.core.errors import UnsupportedError
from cnnaudit.interventions import record
from cnnaudit.interventions.modes import evaluating
from cnnaudit.interventions.module_paths import Site, display_names
from cnnaudit.interventions.observer import Function, Observer, unseen
from cnnaudit.interventions.rectification import relu_rule

Compute = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True, slots=True)
class Broken:
    """One promise that did not hold.

    Attributes:
        who: the method, the rule or "the model".
        promise: what should have held.
        layer: where, if at one place.
    """

    who: str
    promise: str
    layer: str = ""


def state_of(model: nn.Module) -> dict[str, Any]:
    """Everything that a method must leave as it was, as values that can be compared.

    Parameters and buffers bit by bit, `.grad`, `requires_grad`, training modes, the number of hooks of each module and
    torch's global random state.
    """
    found: dict[str, Any] = {"random state": torch.get_rng_state()}
    for name, parameter in model.named_parameters():
        found[f"parameter {name}"] = parameter.detach().clone()
        found[f"gradient of {name}"] = None if parameter.grad is None else parameter.grad.clone()
        found[f"requires_grad of {name}"] = parameter.requires_grad
    for name, buffer in model.named_buffers():
        found[f"buffer {name}"] = buffer.clone()
    for name, module in model.named_modules():
        found[f"mode of {name or 'the model'}"] = module.training
        found[f"hooks of {name or 'the model'}"] = sum(len(vars(module).get(kind, ())) for kind in _HOOKS)
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two states, by name."""
    names = [*before, *(name for name in after if name not in before)]
    return [name for name in names if not _same(before.get(name), after.get(name))]


def leaves_alone(
    model: nn.Module, images: torch.Tensor, classes: torch.Tensor, logits: torch.Tensor, name: str, method: Compute
) -> list[Broken]:
    """What a method breaks: the state of the model, or a bit of its logits (N, K) on the images afterwards.

    Raises:
        UnsupportedError: from the method, for a model that it refuses.
    """
    before = state_of(model)
    inputs = images.clone()
    method(model, inputs, classes)
    found = [Broken(name, f"{what} stays as it was") for what in changes(before, state_of(model))]
    if not torch.equal(inputs, images):
        found.append(Broken(name, "the images stay as they were"))
    if not torch.equal(_answer(model, images), logits):
        found.append(Broken(name, "the logits after it are those before it, bit by bit"))
    return found


def keeps_itself(model: nn.Module, images: torch.Tensor) -> list[Broken]:
    """What the model changes by being asked: its buffers, or its answer to the same images."""
    before = state_of(model)
    first = _answer(model, images)
    found = [Broken("the model", f"{what} stays as it was") for what in changes(before, state_of(model))]
    if not torch.equal(first, _answer(model, images)):
        found.append(Broken("the model", "the same images get the same logits, bit by bit"))
    return found


def follows_rule(model: nn.Module, images: torch.Tensor, rule: Literal["deconvnet", "guided"]) -> list[Broken]:
    """Whether the rule reaches every call that computes a ReLU, and the logits inside the context stay the same.

    Raises:
        UnsupportedError: the model has no ReLU, hides its calls or has activations that the rule is not defined for.
    """
    plain = _answer(model, images)
    with evaluating(model), relu_rule(model, rule) as ruled:
        answer = model(images.clone().requires_grad_())
        names = list(ruled)
    found = [
        Broken(f"{rule} rule", "every ReLU follows the rule; this one is arithmetic that cannot be recognized", layer)
        for layer in rectifying_calls(model, images)
        if layer not in names
    ]
    if not torch.equal(answer.detach(), plain):
        found.append(Broken(f"{rule} rule", "the logits inside the rule are those without it, bit by bit"))
    return found


def differs(gradient: torch.Tensor, guided: torch.Tensor, blocked: bool) -> list[Broken]:
    """Whether guided backpropagation blocks what it must: the maps differ where a negative gradient met an active ReLU.

    Args:
        blocked: whether one did, see `meets_negative_gradient`.
    """
    if blocked and bool(gradient.any()) and torch.equal(gradient, guided):
        return [Broken("guided_backpropagation", "it differs from the plain gradient where a ReLU gets a negative one")]
    return []


def meets_negative_gradient(model: nn.Module, images: torch.Tensor, classes: torch.Tensor) -> bool:
    """Whether the last ReLU of the pass is active somewhere where the class's gradient is negative."""
    with evaluating(model), relu_rule(model, "gradient") as ruled:
        with torch.no_grad():
            model(images)
        last = list(ruled)[-1] if len(ruled) else None
    if last is None:
        return False
    with evaluating(model), record(model, [last]) as values:
        logits = model(images.clone().requires_grad_())
        kept = values[last]
    score = logits.gather(1, classes[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, kept, allow_unused=True)
    return gradient is not None and bool(((gradient < 0) & (kept > 0)).any())


def rectifying_calls(model: nn.Module, images: torch.Tensor) -> list[str]:
    """The names of all calls that answer max(x, 0), or max(x, 0) cut off at 6, for one of their inputs x.

    Known by what they do and not by what they are called: `x * (x > 0)` and `torch.where(x > 0, x, 0)` are found too.
    Inputs that are nowhere negative are left out, since anything that passes them on would do, and so are those that
    are nowhere positive.
    """
    with evaluating(model), _Rectifying(model) as observer, torch.no_grad():
        model(images)
    shown = dict(zip((site.name for site in observer.scopes.seen), display_names(observer.scopes.seen)))
    return [shown.get(site.name, site.name) for site in observer.found]


class _Rectifying(Observer):
    """Compares the answer of every call with the ReLU of its inputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, whole=False)
        self.found: list[Site] = []

    def on_start(self) -> None:
        self.found.clear()

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        with unseen():
            before = [value.detach().clone() for value in _tensors((*args, *kwargs.values()))]
        output = func(*args, **kwargs)
        if isinstance(output, torch.Tensor) and output.is_floating_point():
            with unseen():
                if any(_is_rectified(value, output) for value in before):
                    self.found.append(site)
        return output


def _is_rectified(value: torch.Tensor, output: torch.Tensor) -> bool:
    """Whether the output is the ReLU or ReLU6 of the value, which has something to cut off and something to keep."""
    if value.shape != output.shape or not bool((value < 0).any() and (value > 0).any()):
        return False
    return torch.equal(output, value.relu()) or torch.equal(output, value.clamp(0, 6))


def _tensors(values: Sequence[Any]) -> Iterator[torch.Tensor]:
    """The floating-point tensors among the arguments of a call."""
    return (value for value in values if isinstance(value, torch.Tensor) and value.is_floating_point())


def _answer(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with evaluating(model), torch.no_grad():
        answer: torch.Tensor = model(images)
    return answer.clone()


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return torch.equal(first, second) or bool((first == second).logical_or(first.isnan() & second.isnan()).all())
    return type(first) is type(second) and bool(first == second)


@dataclass(frozen=True, slots=True)
class Integrity:
    """What was asked of a model and its methods.

    Attributes:
        asked: the model, rules and methods that answered.
        refused: those that do not apply, with their reasons.
        broken: the promises that did not hold.
    """

    asked: list[str]
    refused: dict[str, str]
    broken: list[Broken]


def integrity(
    model: nn.Module, images: torch.Tensor, classes: torch.Tensor, methods: Mapping[str, Compute]
) -> Integrity:
    """All promises, asked of the model, of the two rules and of each method; a model that changes itself is all.

    Args:
        images: (N, C, H, W), a few; classes: int64 (N,), what is explained.
        methods: by name, `compute(model, images, classes)`.
    """
    found = Integrity(["the model"], {}, keeps_itself(model, images))
    if found.broken:
        return found
    logits = _answer(model, images)
    rules: tuple[Literal["deconvnet", "guided"], ...] = ("deconvnet", "guided")
    questions: dict[str, Callable[[], list[Broken]]] = {
        **{f"{rule} rule": partial(follows_rule, model, images, rule) for rule in rules},
        **{name: partial(leaves_alone, model, images, classes, logits, name, methods[name]) for name in methods},
    }
    for name, question in questions.items():
        try:
            found.broken.extend(question())
            found.asked.append(name)
        except UnsupportedError as reason:
            found.refused[name] = str(reason)
    if {"gradient", "guided_backpropagation"} <= set(found.asked):
        maps = [methods[name](model, images, classes) for name in ("gradient", "guided_backpropagation")]
        found.broken.extend(differs(maps[0], maps[1], meets_negative_gradient(model, images, classes)))
    return found
