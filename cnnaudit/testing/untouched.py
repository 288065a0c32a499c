"""Properties of a method's side effects: there are none."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnaudit.attribution.methods import Method
from cnnaudit.testing import snapshots
from cnnaudit.testing.harness import NotConformingError, attribute, require, require_close
from cnnaudit.testing.subjects import Breaks, Caches, CopiesInput, Network, WritesIntoInput, images, made


def check_model_untouched(method: Method) -> None:
    """Modes, hooks, weights, buffers, `.grad` and attributes are as they were, whatever mode the model is in."""
    for network in (made(Network()), made(Network()).train(), _mixed(made(Network()))):
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        _require_unchanged(method, network, images())


def check_untouched_after_exception(method: Method) -> None:
    """Also where the model raises, in its first pass or a later one."""
    for after in (0, 1, 2, 5):
        network, shown = made(Breaks(after=after)).train(), images()
        before = snapshots.of_model(network), snapshots.of_tensor(shown), snapshots.of_process()
        try:
            attribute(method, network, shown)
        except NotConformingError as error:
            require("broke" in str(error), method, f"hides what the model raised: {error}")
        _compare(method, before, (network, shown), "after an exception of the model")


def check_process_untouched(method: Method) -> None:
    """Global random states, modes of torch and warnings filters are as they were, and do not matter."""
    network, shown = made(Network()), images()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = attribute(method, network, shown)
        for seed in (1, 2):
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            before = snapshots.of_process()
            again = method.compute(network, shown, 1, None)
            differing = snapshots.changed(before, snapshots.of_process())
            require(not differing, method, f"changes the {', '.join(differing)}")
            require_close(again, first, method, "with another global random state", 0)


def check_images_untouched(method: Method) -> None:
    """Images are as they were: ordinary ones, those that require gradients, and a part of others."""
    network = made(Network())
    wanting = images().requires_grad_()
    wanting.grad = torch.ones_like(wanting)
    for shown in (images(), wanting, images(4)[1:3], images(1).expand(2, -1, -1, -1)):
        _require_unchanged(method, network, shown)


def check_evaluation_mode(method: Method) -> None:
    """A model in training mode is explained in evaluation mode, and so is one of several modes."""
    expected = attribute(method, made(Network()), images())
    for network in (made(Network()).train(), _mixed(made(Network()))):
        require_close(attribute(method, network, images()), expected, method, "in training mode")


def check_model_that_writes(method: Method) -> None:
    """A model that changes its input in place is explained as its twin that does not, and images stay as they were."""
    expected = attribute(method, made(CopiesInput()), images())
    network, shown = made(WritesIntoInput()), images()
    require_close(attribute(method, network, shown), expected, method, "where a model writes into its input")
    require(torch.equal(shown, images()), method, "lets a model write into the caller's images")


def check_cached_tensors(method: Method) -> None:
    """What a model makes in its first pass and keeps can be differentiated later, whatever mode the caller was in."""
    for context in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        network, shown = made(Caches()), images()
        with context():
            first = attribute(method, network, shown)
        require_close(attribute(method, network, shown), first, method, "in a second call", 1e-6)
        loss: Any = network(shown).sum()
        try:
            loss.backward()
        except RuntimeError as error:
            require(False, method, f"leaves tensors in the model that cannot be differentiated: {error}")


def _require_unchanged(method: Method, network: nn.Module, shown: torch.Tensor) -> None:
    before = snapshots.of_model(network), snapshots.of_tensor(shown), snapshots.of_process()
    attribute(method, network, shown)
    _compare(method, before, (network, shown), "of its arguments")


def _compare(method: Method, before: Any, after: tuple[nn.Module, torch.Tensor], what: str) -> None:
    network, shown = after
    now = snapshots.of_model(network), snapshots.of_tensor(shown), snapshots.of_process()
    differing = [name for then, later in zip(before, now) for name in snapshots.changed(then, later)]
    require(not differing, method, f"changes something {what}: {', '.join(differing)}")


def _mixed(network: nn.Module) -> nn.Module:
    """The network with some of its modules in training mode."""
    for module in list(network.modules())[::2]:
        module.training = True
    return network
