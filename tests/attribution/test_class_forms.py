"""'Not given' is None and nothing else: class 0 and unit 0 in every form; answers outside of any graph."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.attribution import deeplift, gradient, integrated_gradients, lime_explanation, smooth_grad
from cnnaudit.core.errors import AuditError
from cnnaudit.testing.subjects import Network, images, made

FORMS = (int, np.int64, np.uint8, np.array, torch.tensor, lambda c: [c], lambda c: np.array([c]), lambda c: (c,))


@pytest.fixture(scope="module")
def network():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 20 * 24, 5)).eval()
    with torch.no_grad():
        net[1].bias[0] -= 9
        net[1].bias[4] += 9  # predicted
    return net


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", [0, 2])
def test_lime_explains_the_class_that_is_asked_for(network, form, number):
    assert lime_explanation(network, images()[0], form(number), samples=4, segmentation="slic").classes == (number,)


def test_lime_explains_several_classes_or_the_predicted_one(network):
    def classes(given):
        return lime_explanation(network, images()[0], given, samples=4, segmentation="slic").classes

    assert classes(np.array([0, 1])) == classes(torch.tensor([0, 1])) == classes([0, 1]) == (0, 1)
    assert classes(None) == (4,)
    for wrong in ([], 5, -1, 1.0, "cat", [0, 7]):
        with pytest.raises(AuditError, match=r"class"):
            classes(wrong)


def test_pixels_of_a_class_that_was_not_explained_are_refused(network):
    found = lime_explanation(network, images()[0], (0, 3), samples=4, segmentation="slic")
    assert (found.pixels(np.int64(3)) == found.weights[1][found.segments]).all()
    with pytest.raises(AuditError, match=r"class_index 1 was not explained; the classes are \(0, 3\)"):
        found.pixels(1)


@pytest.mark.parametrize("form", [np.int64, torch.tensor, np.uint8, lambda unit: (unit,)])
def test_a_unit_is_a_number_of_any_kind(form):
    net = made(Network())
    expected = gradient(net, images(), layer="features.0", unit=0)
    assert gradient(net, images(), layer="features.0", unit=form(0)).equal(expected)
    place = gradient(net, images(), layer="features.0", unit=(1, 2, 3))
    assert gradient(net, images(), layer="features.0", unit=np.array([1, 2, 3])).equal(place)
    with pytest.raises(AuditError, match="expected a channel, or"):
        gradient(net, images(), layer="features.0", unit=0.5)


@pytest.mark.parametrize("method", [integrated_gradients, deeplift])
def test_a_baseline_of_a_graph_leaves_the_answer_outside_of_it(method):
    net, baseline = made(Network()), torch.zeros(1, 3, 20, 24, requires_grad=True)
    found = method(net, images().requires_grad_(), 1, baseline=baseline)
    assert not found.requires_grad and found.equal(method(net, images(), 1))


def test_smooth_grad_of_an_image_does_not_depend_on_the_others():
    net, shown = made(Network()), images(3)
    together = smooth_grad(net, shown, 1, samples=4)
    assert torch.allclose(smooth_grad(net, shown[2:], 1, samples=4), together[2:], atol=1e-6)
