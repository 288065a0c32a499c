"""Differences between askings: nothing for a function of the image, something for chance and for the batch."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cnnaudit.checks.behavior.determinism import determinism, repetitions

IMAGES = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def largest(answer, images=IMAGES):
    return {r.how: float(r.difference.max()) for r in repetitions(answer, images, seed=0)}


def linear(x):
    return x.flatten(1)[:, :3]


def test_a_function_of_the_image_never_differs():
    assert set(largest(linear).values()) == {0.0}


def test_a_model_of_the_batch_differs_in_other_batches_only():
    differences = largest(lambda x: linear(x) - linear(x).mean(0))
    assert differences["the same batch again"] == 0
    assert differences["other batches, other order"] > 0.05 and differences["one image at a time"] > 0.5


def test_a_model_of_the_position_in_the_batch_differs():
    differences = largest(lambda x: linear(x) + torch.arange(len(x))[:, None] * torch.tensor([0.0, 0.1, 0.0]))
    assert differences["other batches, other order"] > 0.5


def test_chance_differs_and_the_numbers_are_reproducible():
    state = torch.random.get_rng_state()
    first, second = (largest(lambda x: functional.dropout(linear(x), 0.5)) for _ in range(2))
    assert first == second and first["the same batch again"] > 0.5
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("change", [lambda z: 100 * z, lambda z: z + torch.randint(9, (len(z), 1)), lambda z: 1e-6 * z])
def test_the_scale_and_level_of_the_logits_do_not_matter(change):
    def drifting(wrap):
        step = itertools.count()
        return largest(lambda x: wrap(linear(x) + 0.01 * (next(step) % 4) * torch.tensor([1.0, 0.0, -1.0])))

    plain, changed = drifting(lambda z: z), drifting(change)
    for how, value in plain.items():
        assert changed[how] == pytest.approx(value, rel=1e-3)


def test_the_difference_is_the_move_over_the_root_mean_square():
    first = torch.tensor([[2.0, -2.0], [1.0, -1.0]])
    answers = iter([first, first + torch.tensor([[0.3, -0.3], [0.0, 0.0]])] + [first] * 50)
    again = repetitions(lambda x: next(answers)[: len(x)], torch.zeros(2, 1, 1, 1), seed=0)[0]
    assert again.difference.tolist() == pytest.approx([0.3 / 2.5**0.5, 0.0], abs=1e-6)


def test_a_constant_model_differs_by_nothing_or_hugely():
    assert set(largest(lambda x: torch.zeros(len(x), 3)).values()) == {0.0}
    chance = largest(lambda x: torch.rand(len(x), 3) * (len(x) == 1))
    assert chance["one image at a time"] > 1e6


def test_one_image_is_enough():
    assert len(repetitions(nn.Flatten(), IMAGES[:1], seed=0)) == 3


def test_determinism_is_exact_and_reproducible(make):
    class Chance(nn.Module):
        def forward(self, x):
            return functional.dropout(x.flatten(1)[:, :2], 0.5)

    target = make(np.arange(80) % 2, model=Chance())
    first, second = determinism(target), determinism(target)
    assert first.statistic == second.statistic > 0.05 and first.verdict == "fail" and first.confidence is None
    assert first.interval == (first.statistic, first.statistic) and first.n == 64


def test_ties_up_to_rounding_do_not_fail(make):
    class Tie(nn.Module):
        def forward(self, x):
            z = x.flatten(1)[:, :2] * 0 + torch.tensor([1.0, 1.0])
            return torch.cat((z + torch.tensor([0.0, 1e-6]) * (len(x) % 2), z[:, :1] - 2), 1)

    found = determinism(make(np.arange(80) % 3, model=Tie()))
    assert found.verdict == "pass" and "16 of 144 predictions change" in found.summary


def test_a_model_that_writes_into_its_images_is_deterministic(make):
    class InPlace(nn.Module):
        def forward(self, x):
            return x.mul_(0.5).flatten(1)[:, :2]

    found = determinism(make(np.arange(80) % 2, model=InPlace()))
    assert found.verdict == "pass" and found.statistic < 1e-5
