"""Training one network, the same way every time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.core.errors import DataError
from cnnaudit.data import shapes
from cnnaudit.models import minimum
from cnnaudit.training import fit
from cnnaudit.training._fit import glorot


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    drawn = shapes("rotation", noise=0, inverted=False, n_per_class=40)
    return drawn.images, drawn.labels


def _weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_learns_a_separable_problem() -> None:
    labels = np.arange(60) % 2
    images = np.broadcast_to(labels[:, None, None, None] * 0.9, (60, 1, 8, 8)).astype(np.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    history = fit(model, (images, labels), epochs=20)
    assert history[-1]["accuracy"] == 1
    assert history[-1]["loss"] < history[0]["loss"]
    assert not model.training
    assert all(p.grad is None for p in model.parameters())


def test_the_seed_decides_and_nothing_else(data: tuple[np.ndarray, np.ndarray]) -> None:
    def trained(seed: int) -> torch.Tensor:
        torch.rand(3)  # the global state differs from run to run
        model = minimum()
        fit(model, data, epochs=2, seed=seed)
        return _weights(model)

    first, again, other = trained(0), trained(0), trained(1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_global_random_state_is_untouched(data: tuple[np.ndarray, np.ndarray]) -> None:
    model = minimum()
    before = torch.get_rng_state()
    fit(model, data, epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_equals_a_slow_definition_of_adam_with_cosine_decay(data: tuple[np.ndarray, np.ndarray]) -> None:
    """Adam (Kingma & Ba 2015, algorithm 1) written out, on the same batches."""
    model, slow = minimum(), minimum()
    fit(model, data, epochs=3, batch_size=32, learning_rate=0.01, seed=5)
    rng = torch.Generator().manual_seed(5)
    glorot(slow, rng)
    images, labels = (torch.from_numpy(part) for part in data)
    parameters = list(slow.parameters())
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    steps, t = 3 * math.ceil(len(images) / 32), 0
    for _ in range(3):
        for batch in torch.randperm(len(images), generator=rng).split(32):
            logits = slow(images[batch])
            loss = -torch.log_softmax(logits, 1)[torch.arange(len(batch)), labels[batch]].mean()
            rate = 0.01 * (1 + math.cos(math.pi * t / steps)) / 2
            t += 1
            for p, m, v, g in zip(parameters, first, second, torch.autograd.grad(loss, parameters)):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g**2)
                p.data -= rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    torch.testing.assert_close(_weights(model), _weights(slow), atol=2e-5, rtol=1e-4)


def test_glorot_draws_within_its_bound() -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 5), nn.Linear(50, 70))
    glorot(model, torch.Generator().manual_seed(0))
    for layer, fans in ((model[0], (3 + 16) * 25), (model[1], 50 + 70)):
        bound = math.sqrt(6 / fans)
        assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound
        assert not layer.bias.any()


def test_goes_on_from_given_weights(data: tuple[np.ndarray, np.ndarray]) -> None:
    model = minimum()
    before = _weights(model).clone()
    fit(model, data, epochs=1, learning_rate=0.0, initialize=False)
    assert torch.equal(_weights(model), before)


def test_transform_sees_each_batch(data: tuple[np.ndarray, np.ndarray]) -> None:
    sizes = []

    def transform(batch: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        sizes.append(len(batch))
        return batch + 0 * torch.rand(batch.shape, generator=rng)

    fit(minimum(), data, epochs=1, batch_size=50, transform=transform)
    assert sizes == [50, 50, 20]


def test_bytes_are_scaled(data: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = data
    as_bytes = np.round(images * 255).astype(np.uint8)
    first, second = minimum(), minimum()
    fit(first, (as_bytes, labels), epochs=1)
    fit(second, (as_bytes.astype(np.float32) / 255, labels), epochs=1)
    assert torch.equal(_weights(first), _weights(second))


def test_images_without_labels_are_refused() -> None:
    with pytest.raises(DataError, match="got 4 images and 3 labels"):
        fit(minimum(), (np.zeros((4, 1, 28, 28), np.float32), np.zeros(3, np.int64)))
