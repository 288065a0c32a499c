"""Usual mistakes are named where they are made, and none is named where none is made."""

import numpy as np
import pytest
import torch

from cnnaudit.checks.behavior._diagnosis import class_order, confusion, input_mistake
from cnnaudit.core.errors import ModelError
from cnnaudit.core.statistics import generator


def test_confusion_counts():
    rng = generator("confusion")
    labels, predicted = rng.integers(4, size=60), rng.integers(4, size=60)
    slow = [[sum((labels == i) & (predicted == j)) for j in range(4)] for i in range(4)]
    assert confusion(labels, predicted, 4).tolist() == slow


def test_the_order_of_the_logits_is_found():
    rng = generator("order")
    labels = rng.integers(5, size=300)
    stands_for = np.array([2, 0, 1, 4, 3])  # the class of each logit
    predicted = np.argsort(stands_for)[np.where(rng.random(300) < 0.9, labels, rng.integers(5, size=300))]
    mistake = class_order(labels, predicted, tuple("abcde"), rng)
    assert mistake.what == "data.classes = ['c', 'a', 'b', 'e', 'd']"
    assert mistake.n == 150 and mistake.share == pytest.approx(0.92, abs=0.06) and mistake.before < 30


@pytest.mark.parametrize("classes", [2, 10, 200])
def test_no_order_is_made_up_from_chance(classes):
    for seed in range(10):
        rng = generator("chance", classes, seed)
        labels, predicted = rng.integers(classes, size=(2, 300))
        assert class_order(labels, predicted, [str(k) for k in range(classes)], rng) is None


def test_a_right_order_stays():
    labels = np.arange(200) % 10
    assert class_order(labels, labels, tuple("0123456789"), generator("right")) is None


def colored(x):
    """The strongest channel is the class."""
    return x.mean((2, 3))


def test_swapped_channels_are_named():
    images = torch.rand(60, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = colored(images).argmax(1)
    swapped = colored(images.flip(1)).argmax(1)
    mistake = input_mistake(lambda x: colored(x.flip(1)), images, labels, swapped)
    assert mistake.what == "the other input.order" and mistake.after == 60 and mistake.before < 40
    assert input_mistake(colored, images, labels, labels) is None


def test_a_trial_that_the_model_refuses_explains_nothing():
    def refusing(x):
        if x.max() > 1:
            raise ModelError("out of range")
        return colored(x)

    images = torch.rand(60, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = colored(images.flip(1)).argmax(1)
    assert input_mistake(refusing, images, labels, colored(images).argmax(1)).after == 60
