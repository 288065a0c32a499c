"""Captum's answers where Captum is right, and where it is silently wrong: there ours are those of the module twin."""

from __future__ import annotations

import warnings

import pytest
import torch
from small import STYLES, pixels, small

from cnnaudit import attribution

captum = pytest.importorskip("captum.attr", reason="Captum is not installed")


def theirs(name: str, style: str, **settings) -> torch.Tensor:
    net, x = small(style), pixels(3)
    method = getattr(captum, name)(net)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method.attribute(x.requires_grad_(), target=1, **settings).detach()


OURS = {
    "Saliency": lambda net, x: attribution.gradient(net, x, 1),
    "InputXGradient": lambda net, x: attribution.gradient_times_input(net, x, 1),
    "IntegratedGradients": lambda net, x: attribution.integrated_gradients(net, x, 1, steps=50),
    "Deconvolution": lambda net, x: attribution.deconvnet(net, x, 1),
    "GuidedBackprop": lambda net, x: attribution.guided_backpropagation(net, x, 1),
    "DeepLift": lambda net, x: attribution.deeplift(net, x, 1),
}
SETTINGS = {"Saliency": {"abs": False}, "IntegratedGradients": {"n_steps": 50, "method": "gausslegendre"}}


@pytest.mark.parametrize("name", OURS)
def test_the_same_answer_for_modules(name: str) -> None:
    torch.testing.assert_close(OURS[name](small(), pixels(3)), theirs(name, "modules", **SETTINGS.get(name, {})))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", OURS)
def test_ours_is_the_answer_of_the_module_twin_in_every_style(name: str, style: str) -> None:
    torch.testing.assert_close(OURS[name](small(style), pixels(3)), OURS[name](small(), pixels(3)))


@pytest.mark.parametrize("style", ["functional", "in_place"])
@pytest.mark.parametrize("name", ["GuidedBackprop", "Deconvolution", "DeepLift"])
def test_captum_is_silently_wrong_without_modules(name: str, style: str) -> None:
    """Its hooks sit on `nn.ReLU` and `nn.MaxPool2d`: without them it gives the plain gradient under another name."""
    truth, found = theirs(name, "modules"), theirs(name, style)
    assert (found - truth).norm() > 0.05 * truth.norm()
    if name != "DeepLift":
        torch.testing.assert_close(found, theirs("Saliency", "modules", abs=False))
    torch.testing.assert_close(OURS[name](small(style), pixels(3)), truth)


def test_captum_has_no_answer_for_a_reused_module() -> None:
    with pytest.raises(RuntimeError):
        theirs("DeepLift", "reused")
