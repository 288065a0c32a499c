"""The backward rule of every ReLU, replaced: gradient, deconvnet, guided backpropagation, forward-backward."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import nn

from cnnaudit.core.errors import AuditError, UnsupportedError
from cnnaudit.interventions.graphs import Entry
from cnnaudit.interventions.module_paths import Site, display_names
from cnnaudit.interventions.observer import Function, Observer, unseen
from cnnaudit.interventions.op_types import first_tensor, is_in_place

Rule = Literal["gradient", "deconvnet", "guided", "interaction"]

# Activations that stand where a ReLU would; sigmoid, tanh and softmax also serve as gates and pass as they are.
_UNRULED = {
    *("celu", "elu", "gelu", "glu", "hardshrink", "hardswish", "leaky_relu", "log_sigmoid", "logsigmoid", "mish"),
    *("prelu", "relu_rnn_cell", "rnn_relu", "rnn_relu_cell", "rrelu", "rrelu_with_noise", "selu", "silu", "softplus"),
    *("softshrink", "softsign", "tanhshrink"),
}


@contextmanager
def relu_rule(model: nn.Module, rule: Rule) -> Iterator[Sequence[str]]:
    """Let gradients pass every ReLU of the model by that rule, in passes made while the context lasts.

    With g the gradient that arrives at a ReLU of input x, there goes on

    - `gradient`: g where x > 0, else 0: the derivative, also where the ReLU's output is changed in place later;
    - `deconvnet`: max(g, 0), whatever x was;
    - `guided`: max(g, 0) where x > 0, else 0;
    - `interaction`: g times what the ReLU answered, divided by its largest answer in the image.

    A ReLU is `relu`, `relu6`, `hardtanh` and `clamp` with the lower bound 0, `clamp_min(0)`, `threshold(0, 0)` or the
    `maximum` with a constant 0, as module, function or method, in place or not, reused, in `torch.fx` and
    `torch.export` modules. Above an upper bound (6) the masks are closed, as the derivative is. Answers do not change
    by a bit, and in-place calls change their tensor as ever. A backward pass follows the rule of the forward pass that
    it belongs to, so it may be run after the context.

    Everything else propagates back as it is: convolutions as their transposes, max pooling to the pixel that was the
    largest (which is unpooling with switches), batch normalization in `eval()` by its factor, sigmoid, tanh and
    softmax by their derivatives. A ReLU written as arithmetic, `x * (x > 0)` or `torch.where(x > 0, x, 0)`, cannot be
    recognized and propagates back as the arithmetic that it is: look at the names that the context reports.

    Yields:
        The names of the calls that the rule was applied to in the latest pass, in order, as in `calls`.

    Raises:
        UnsupportedError: the model hides its calls; with `deconvnet` and `guided`, when it is called: an activation
            for which the rule is not defined (SiLU, GELU, leaky ReLU …), with its layer, or no ReLU in the whole pass.

    Source: Zeiler and Fergus, ECCV 2014 (arXiv 1311.2901); Springenberg et al., 2015 (arXiv 1412.6806).

    Example:
        >>> import torch
        >>> from cnnaudit.interventions import relu_rule
        >>> net, x = torch.nn.ReLU(), torch.tensor([-1.0, 2.0], requires_grad=True)
        >>> with relu_rule(net, "deconvnet") as ruled:
        ...     (gradient,) = torch.autograd.grad(net(x).sum(), x)
        >>> gradient, list(ruled)
        (tensor([1., 1.]), ['/relu:1'])
    """
    if rule not in get_args(Rule):
        raise AuditError(f"relu_rule: expected one of {', '.join(get_args(Rule))}, got {rule!r}")
    with _ReluRule(model, rule) as observer:
        yield observer.ruled


class _Ruled(Sequence[str]):
    """The names of the ruled calls of the latest pass."""

    def __init__(self, observer: _ReluRule) -> None:
        self._observer = observer

    def _names(self) -> list[str]:
        seen = self._observer.scopes.seen
        shown = dict(zip((site.name for site in seen), display_names(seen)))
        return [shown.get(site.name, site.name) for site in self._observer.sites.values()]

    def __getitem__(self, index: Any) -> Any:
        return self._names()[index]

    def __len__(self) -> int:
        return len(self._observer.sites)


class _ReluRule(Observer):
    """Makes each ReLU a node of the graph with a backward pass of its own."""

    def __init__(self, model: nn.Module, rule: str) -> None:
        super().__init__(model, whole=False)
        self._rule = rule
        self.sites: dict[str, Site] = {}  # by name: a wrapper that cuts the batch calls its network several times
        self.ruled = _Ruled(self)

    def __enter__(self) -> _ReluRule:
        super().__enter__()
        return self

    def on_start(self) -> None:
        self.sites.clear()

    def on_call(self, site: Site, func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        bounds = _bounds(site.kind, args, kwargs)
        if bounds is None or bounds[0] != 0:
            if self._rule != "gradient" and (site.kind in _UNRULED or _replaces_relu(site.kind, bounds)):
                raise UnsupportedError(
                    f"{site.name}: the rule '{self._rule}' is defined for ReLU only, and this is {site.kind}; "
                    "use gradient, integrated gradients, Grad-CAM or occlusion for this model"
                )
            return func(*args, **kwargs)
        self.sites[site.name] = site
        source = _source(args, kwargs)
        if source is None or not (torch.is_grad_enabled() and source.requires_grad):
            return func(*args, **kwargs)
        call = lambda: func(*args, **kwargs)  # noqa: E731
        return _Rectifier.apply(source, call, self._rule, bounds[1], is_in_place(func, args, kwargs))

    def on_leave(self, entry: Entry, inputs: Any, output: Any) -> Any:
        if entry.path == "" and not self.sites and self._rule != "gradient":
            raise UnsupportedError(
                f"the model calls no ReLU that can be recognized, so the rule '{self._rule}' has nothing to act on; "
                "use gradient, integrated gradients, Grad-CAM or occlusion"
            )


class _Rectifier(torch.autograd.Function):
    """A ReLU as it is called, with the rule for its gradient."""

    @staticmethod
    def forward(
        ctx: Any, source: torch.Tensor, call: Callable[[], torch.Tensor], rule: str, ceiling: float, in_place: bool
    ) -> torch.Tensor:
        output = call()
        ctx.rule, ctx.ceiling = rule, ceiling
        if rule != "deconvnet":
            with unseen():  # a copy, which nothing changes later; as a mask it is several times faster than booleans
                ctx.save_for_backward(output.clone())
        if in_place:
            ctx.mark_dirty(source)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        with unseen():
            if ctx.rule == "interaction":
                (forward,) = ctx.saved_tensors
                largest = forward.flatten(1).amax(1).view(-1, *[1] * (forward.ndim - 1))
                return gradient * forward / torch.where(largest > 0, largest, 1), None, None, None, None
            if ctx.rule == "deconvnet":
                return gradient.relu(), None, None, None, None
            if ctx.ceiling == math.inf:
                gradient = torch.ops.aten.threshold_backward(gradient, *ctx.saved_tensors, 0)
            else:
                gradient = torch.ops.aten.hardtanh_backward(gradient, *ctx.saved_tensors, 0, ctx.ceiling)
            if ctx.rule == "guided":
                gradient = gradient.relu_()
        return gradient, None, None, None, None


def _bounds(kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[float, float] | None:
    """The lower and upper bound of an elementwise call that cuts its input off there; None for any other."""
    if kind in ("relu", "relu6"):
        return 0.0, 6.0 if kind == "relu6" else math.inf
    if kind == "hardtanh":
        low, high = _values(("min_val", "max_val"), args, kwargs)
        return -1.0 if low is None else low, 1.0 if high is None else high
    if kind in ("clamp", "clamp_min"):
        low, high = _values(("min", "max"), args, kwargs)
        return None if low is None else (low, math.inf if high is None else high)
    if kind == "threshold":
        low, value = _values(("threshold", "value"), args, kwargs)
        return None if low is None else (low if value == low else math.nan, math.inf)
    if kind in ("maximum", "fmax", "max") and len(args) == 2 and all(isinstance(arg, torch.Tensor) for arg in args):
        other = args[0] if args[1].requires_grad else args[1]
        with unseen():
            return None if other.requires_grad or bool(other.any()) else (0.0, math.inf)
    return None


def _replaces_relu(kind: str, bounds: tuple[float, float] | None) -> bool:
    """Whether it stands where a ReLU would; a clamp that keeps a norm off zero does not."""
    return kind in ("hardtanh", "threshold") and bounds is not None


def _values(names: tuple[str, str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[float | None]:
    """Two numbers that follow the input, by position or by name; NaN for a tensor of several."""
    bound = {**dict(zip(names, args[1:])), **kwargs}
    return [None if (value := bound.get(name)) is None else _number(value) for name in names]


def _number(value: Any) -> float:
    if isinstance(value, torch.Tensor):
        with unseen():
            return float(value) if value.numel() == 1 else math.nan
    return float(value)


def _source(args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    """The tensor that is rectified: of two, the one that is not the constant."""
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
    return next((tensor for tensor in tensors if tensor.requires_grad), first_tensor(tensors))
