"""Many models as one computation: each ends where it ends when it is trained alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from cnnaudit.core.errors import DataError, ModelError
from cnnaudit.data import shapes
from cnnaudit.models import minimum
from cnnaudit.training import fit, train_stacked
from cnnaudit.training._fit import glorot
from cnnaudit.training.stacked.any import AnyArchitecture
from cnnaudit.training.stacked.loop import Plan, Trained, train_stack
from cnnaudit.training.stacked.minimum import MinimumModels, design_of
from cnnaudit.training.stacked.pooled_convolution import patches_of, without_repeats

Arrays = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data() -> Arrays:
    """320 images: ten batches of 32."""
    drawn = shapes("scaling", noise=20, n_per_class=107)
    return drawn.images[:320], drawn.labels[:320]


@pytest.fixture(scope="module")
def few() -> Arrays:
    """60 clean images, full of equal patches."""
    drawn = shapes("rotation", noise=0, n_per_class=20)
    return drawn.images, drawn.labels


def deep(norm: bool = True) -> nn.Sequential:
    """Two convolutions, strided, with batch normalization: no minimum model."""
    torch.manual_seed(0)
    first = [nn.Conv2d(1, 4, 5, stride=3, bias=False), nn.BatchNorm2d(4) if norm else nn.Identity(), nn.ReLU()]
    return nn.Sequential(*first, nn.Conv2d(4, 3, 3), nn.ELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))


def alone(model: nn.Module, data: Arrays, seed: int, rate: float, epochs: int) -> dict[str, torch.Tensor]:
    fit(model, data, epochs=epochs, seed=seed, learning_rate=rate, order_seed=0)
    return model.state_dict()


@pytest.mark.parametrize(
    "build",
    [
        minimum,
        lambda: minimum(pool=14, hidden=12),
        lambda: minimum(pool=7, hidden=16),
        lambda: minimum(pool=14, hidden=12, padding_mode="replicate"),
        lambda: deep(norm=False),
    ],
    ids=["16", "109", "333", "replicate", "any architecture"],
)
def test_equals_models_trained_alone(build: Callable[[], nn.Module]) -> None:
    """A hundred steps, without noise: among noisy patches, rounding may decide which of two is the maximum."""
    drawn = shapes("scaling", noise=0, inverted=True, n_per_class=107)
    data = drawn.images[:320], drawn.labels[:320]
    found = train_stacked(build, data, seeds=2, learning_rates=(0.01, 0.03), epochs=10)
    assert found.seeds.tolist() == [0, 1, 0, 1]
    assert found.learning_rates.tolist() == [0.01, 0.01, 0.03, 0.03]
    for k, (seed, rate) in enumerate(zip(found.seeds, found.learning_rates)):
        for name, value in alone(build(), data, int(seed), float(rate), epochs=10).items():
            torch.testing.assert_close(found.states[name][k], value, atol=1e-5, rtol=0)
            torch.testing.assert_close(found.model(k).state_dict()[name], value, atol=1e-5, rtol=0)


def in_double(
    build: Callable[[], nn.Module], data: Arrays, fast: bool
) -> tuple[Trained, list[dict[str, torch.Tensor]]]:
    """Two seeds in a stack and alone, in 64 bits, where Adam does not turn rounding into steps: 100 steps."""
    images, labels = torch.from_numpy(data[0]).double(), torch.from_numpy(data[1])
    template = build().double()
    weights, states = [], []
    for seed in (0, 1):
        model = build()
        glorot(model, torch.Generator().manual_seed(seed))
        model.double()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        slow_loop(model, images, labels)
        states.append(model.state_dict())
    design = design_of(template)
    assert (design is not None) == fast
    kernel = MinimumModels(template, design, images, labels) if design else AnyArchitecture(template, images, labels)
    start = torch.stack(weights)
    buffers = {name: torch.stack([value, value]) for name, value in template.named_buffers()}
    rates, ones = torch.full((2,), 0.01, dtype=torch.float64), torch.ones(start.shape[1], dtype=torch.float64)
    plan = Plan(epochs=10, batch_size=32, schedule="cosine", target_accuracy=None, weight_decay=0.1, order_seed=0)
    return train_stack(kernel, labels, start, buffers, rates, ones, plan), states


def slow_loop(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    order, step = torch.Generator().manual_seed(0), 0
    for _ in range(10):
        for batch in torch.randperm(len(images), generator=order).split(32):
            optimizer.param_groups[0]["lr"] = 0.01 * (1 + math.cos(math.pi * step / 100)) / 2
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
            step += 1


@pytest.mark.parametrize(
    ("build", "fast"),
    [
        (lambda: minimum(pooling="average"), True),
        (lambda: minimum(pool=9, hidden=6, pooling="average", padding_mode="replicate", filters=2), True),
        (lambda: minimum(pool=14, kernel=2, activation="abs"), True),
        (lambda: minimum(pool=5, kernel=4, stride=2, activation="tanh", hidden=5, filters=3), True),
        (lambda: minimum(pool=13, activation="abs", pooling="average", stride=2), True),
        (lambda: nn.Sequential(*list(deep())[:3], nn.Flatten(), nn.Linear(256, 3)), False),
    ],
    ids=["average", "average, replicate", "abs", "stride, tanh", "abs, average", "batch normalization"],
)
def test_equals_models_trained_alone_in_double(build: Callable[[], nn.Module], fast: bool, data: Arrays) -> None:
    trained, states = in_double(build, data, fast)
    for k, state in enumerate(states):
        own = torch.cat([state[name].flatten() for name, _ in build().named_parameters()])
        torch.testing.assert_close(trained.weights[k], own, atol=1e-8, rtol=0)
        for name, value in trained.buffers.items():
            torch.testing.assert_close(value[k], state[name], atol=1e-8, rtol=0)


@pytest.mark.parametrize("activation", ["relu", "abs", "tanh"])
@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("filters", [1, 40])
def test_gradients_are_autograd_s(filters: int, pooling: str, activation: str) -> None:
    """On images of two colors, where maxima are tied everywhere; 5 x 40 filters take several blocks."""
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(9, 2, 28, 28, generator=draw).round().double()
    labels = torch.randint(0, 4, (9,), generator=draw)
    options = {"channels": 2, "filters": filters, "pool": 9, "hidden": 4, "classes": 4}
    template = minimum(pooling=pooling, activation=activation, **options).double()  # type: ignore[arg-type]
    size = sum(p.numel() for p in template.parameters())
    weights = torch.randn(5, size, generator=draw, dtype=torch.float64)
    design = design_of(template)
    assert design is not None
    batch = torch.tensor([3, 1, 8, 0, 5])
    own = MinimumModels(template, design, images, labels).step(weights, {}, batch)
    reference = AnyArchitecture(template, images, labels).step(weights, {}, batch)
    for value, expected in zip(own, reference):
        torch.testing.assert_close(value, expected, atol=1e-10, rtol=1e-10)


def test_patches_are_the_same_stored_or_cut_anew(few: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> nn.Module:
        return minimum(pool=9)

    stored = train_stacked(build, few, seeds=2, epochs=2)
    monkeypatch.setattr("cnnaudit.training.stacked.minimum._STORED_PATCHES", 0)
    anew = train_stacked(build, few, seeds=2, epochs=2)
    assert torch.allclose(stored.states["conv.weight"], anew.states["conv.weight"], atol=1e-6)


def test_only_repeated_patches_are_left_out(few: Arrays) -> None:
    model = minimum(pool=14)
    every = patches_of(torch.from_numpy(few[0]), model.conv, 14)
    fewer = without_repeats(every, 14)
    assert fewer.shape[2] < every.shape[2] / 2
    for image in (0, 25, 59):
        for window in range(4):
            kept, whole = (np.unique(part[image, window].numpy(), axis=0) for part in (fewer, every))
            assert np.array_equal(kept, whole)
    noise = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(without_repeats(patches_of(noise, model.conv, 14), 14), patches_of(noise, model.conv, 14))


def conv(**options: int) -> nn.Conv2d:
    return nn.Conv2d(1, 2, 3, padding=1, **options)


@pytest.mark.parametrize(
    "layers",
    [
        [conv(), nn.ReLU(), nn.MaxPool2d(7, stride=3), nn.Flatten(), nn.Linear(128, 3)],
        [conv(), nn.ReLU(), nn.MaxPool2d(5, ceil_mode=True), nn.Flatten(), nn.Linear(72, 3)],
        [conv(), nn.ReLU(), nn.AvgPool2d(28, divisor_override=3), nn.Flatten(), nn.Linear(2, 3)],
        [conv(dilation=2), nn.ReLU(), nn.MaxPool2d(26), nn.Flatten(), nn.Linear(2, 3)],
        [conv(), nn.GELU(), nn.MaxPool2d(28), nn.Flatten(), nn.Linear(2, 3)],
        [conv(), nn.ReLU(), nn.MaxPool2d(28), nn.Flatten(), nn.Dropout(0.0), nn.Linear(2, 3)],
    ],
    ids=["overlapping", "ceil", "divisor", "dilation", "GELU", "dropout"],
)
def test_other_networks_take_the_general_way(layers: list[nn.Module], few: Arrays) -> None:
    assert design_of(nn.Sequential(*layers)) is None
    assert len(train_stacked(lambda: nn.Sequential(*layers), few, seeds=2, epochs=1)) == 2


def test_the_dead_and_the_diverged_leave_and_the_others_do_not_notice(data: Arrays) -> None:
    biases = torch.tensor([[0.0], [-50.0], [0.0]])
    found = train_stacked(minimum, data, seeds=[4, 5, 6], epochs=14, initial={"conv.bias": biases})
    assert found.outcome == ["trained", "dead", "trained"]
    assert found.epochs.tolist() == [14, 10, 14]  # a hundred steps of ten an epoch
    assert np.isnan(found.history).sum(1).tolist() == [0, 4, 0]
    without = train_stacked(minimum, data, seeds=[4, 6], epochs=14)
    assert torch.allclose(found.states["conv.weight"][[0, 2]], without.states["conv.weight"], atol=1e-6)
    wild = train_stacked(minimum, data, seeds=[4], learning_rates=[0.01, 1e38], epochs=2)
    assert wild.outcome == ["trained", "diverged"]
    assert wild.train_accuracy[1] == 0 < wild.train_accuracy[0]
    assert torch.allclose(
        wild.states["conv.weight"][0],
        train_stacked(minimum, data, seeds=[4], epochs=2).states["conv.weight"][0],
        atol=1e-6,
    )


def test_stops_at_the_target_accuracy() -> None:
    """A model that reached it is the model after that many epochs, and its accuracy is that of all images."""
    labels = np.arange(60) % 2
    images = np.broadcast_to(labels[:, None, None, None] * 0.9, (60, 1, 8, 8)).astype(np.float32)

    def build() -> nn.Module:
        return minimum(size=8, pool=8, classes=2)

    options = {"seeds": 6, "learning_rates": 0.03, "schedule": "constant"}
    found = train_stacked(
        build, (images, labels), epochs=80, target_accuracy=1.0, validation=(images, labels), **options
    )  # type: ignore[arg-type]
    reached = [k for k, outcome in enumerate(found.outcome) if outcome == "reached"]
    assert reached
    assert (found.train_accuracy[reached] == 1).all()
    assert found.validation_accuracy is not None
    assert np.array_equal(found.validation_accuracy, found.train_accuracy)
    for k in reached[:2]:
        epochs = int(found.epochs[k])
        assert epochs < 80
        assert np.isnan(found.history[k]).sum() == 80 - epochs
        model = build()
        fit(model, (images, labels), epochs=epochs, seed=k, learning_rate=0.03, schedule="constant", order_seed=0)
        assert torch.allclose(found.model(k).conv.weight, model.conv.weight, atol=1e-5)


class Pretending:
    """Two models that answer each batch alike and right; of all images, the first still does, the second does not."""

    def step(
        self, weights: torch.Tensor, buffers: dict[str, torch.Tensor], indices: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        logits = torch.tensor([1.0, 0.0]).expand(len(weights), len(indices), 2)
        return torch.zeros(len(weights)), logits, torch.zeros_like(weights)

    def training_logits(self, weights: torch.Tensor, buffers: dict[str, torch.Tensor], rows: slice) -> torch.Tensor:
        answers = torch.eye(2)[torch.arange(64)[rows] % 2]
        return torch.stack([answers if second else torch.tensor([1.0, 0.0]).expand_as(answers) for second in weights])

    def logits(self, weights: torch.Tensor, buffers: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
        raise AssertionError("nobody asked for other images")


@pytest.mark.parametrize(("target", "first"), [(0.9, "reached"), (None, "dead")])
def test_endings_are_confirmed_on_all_images(target: float | None, first: str) -> None:
    plan = Plan(60, batch_size=32, schedule="constant", target_accuracy=target, weight_decay=0.0, order_seed=0)
    which, labels = torch.tensor([[0.0], [1.0]]), torch.zeros(64, dtype=torch.int64)
    found = train_stack(Pretending(), labels, which, {}, torch.full((2,), 0.1), torch.ones(1), plan)
    assert found.outcome == [first, "trained"]
    assert found.epochs.tolist() == [1 if target else 50, 60]


def test_accuracies_are_those_of_the_models(data: Arrays) -> None:
    as_bytes = np.round(data[0][:100] * 255).astype(np.uint8)
    found = train_stacked(lambda: minimum(pool=7), data, seeds=3, epochs=3, validation=(as_bytes, data[1][:100]))
    for k in range(3):
        with torch.no_grad():
            right = found.model(k)(torch.from_numpy(data[0])).argmax(1).numpy() == data[1]
            small = found.model(k)(torch.from_numpy(as_bytes).float() / 255).argmax(1).numpy() == data[1][:100]
        assert found.train_accuracy[k] == right.mean()
        assert found.validation_accuracy is not None
        assert found.validation_accuracy[k] == small.mean()


def test_frozen_parameters_stay_and_initial_values_are_taken(few: Arrays) -> None:
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).view(1, 1, 3, 3)
    options = {"frozen": ("conv.weight",), "initial": {"conv.weight": sobel}, "weight_decay": 0.1}
    found = train_stacked(minimum, few, seeds=2, epochs=2, **options)  # type: ignore[arg-type]
    assert torch.equal(found.states["conv.weight"], sobel.expand(2, 1, 1, 3, 3))
    drawn = minimum()
    glorot(drawn, torch.Generator().manual_seed(1))
    assert not torch.equal(found.states["output.weight"][1], drawn.output.weight)
    kept = train_stacked(minimum, few, seeds=2, epochs=2, frozen=("output.weight",))
    assert torch.equal(kept.states["output.weight"][1], drawn.output.weight)


def test_processes_change_nothing(few: Arrays) -> None:
    options = {"seeds": 3, "learning_rates": (0.01, 0.02), "epochs": 2, "validation": few}
    one = train_stacked(lambda: minimum(pool=14), few, **options)  # type: ignore[arg-type]
    two = train_stacked(lambda: minimum(pool=14), few, jobs=2, **options)  # type: ignore[arg-type]
    assert torch.allclose(one.states["output.weight"], two.states["output.weight"], atol=1e-6)
    assert np.array_equal(one.learning_rates, two.learning_rates)
    assert np.allclose(one.history, two.history)
    assert np.array_equal(one.validation_accuracy, two.validation_accuracy)  # type: ignore[arg-type]
    assert one.outcome == two.outcome


def test_the_state_of_torch_is_untouched_even_by_ctrl_c(few: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    before = torch.get_rng_state()
    train_stacked(deep, few, seeds=2, epochs=1)

    def interrupted(*_: object) -> None:
        assert torch.get_num_threads() == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(MinimumModels, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_stacked(minimum, few)
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("count", [1, 2, 33])
def test_few_images_and_classes_of_one_image(count: int, few: Arrays) -> None:
    labels = np.minimum(np.arange(count), 2)
    found = train_stacked(minimum, (few[0][:count], labels), seeds=2, epochs=2)
    assert np.isfinite(found.train_accuracy).all()


def test_identical_classes_are_trained_to_the_end(few: Arrays) -> None:
    images = np.concatenate([few[0][:10]] * 2)
    found = train_stacked(minimum, (images, np.arange(20) // 10), seeds=2, epochs=3, target_accuracy=0.9)
    assert set(found.outcome) <= {"trained", "dead"}
    assert (found.train_accuracy <= 0.5).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": (np.zeros((4, 1, 28, 28)), np.zeros(3, int))}, DataError, "got 4 images and 3 labels"),
        ({"data": (np.zeros((4, 28, 28)), np.zeros(4, int))}, DataError, r"images must be \(N, C, H, W\)"),
        ({"data": (np.zeros((4, 1, 28, 28)), np.full(4, 3))}, DataError, r"labels of data must be in 0..2.*got 3..3"),
        ({"data": (np.zeros((4, 1, 28, 28)), np.full(4, -1))}, DataError, "got -1..-1"),
        ({"data": (np.zeros((4, 1, 28, 28)), np.full(4, 0.5))}, DataError, "whole numbers"),
        ({"data": (np.full((4, 1, 28, 28), np.nan), np.zeros(4, int))}, DataError, "4 image.s. hold NaN"),
        ({"validation": (np.zeros((4, 1, 8, 8)), np.zeros(4, int))}, DataError, "validation images have the shape"),
        ({"seeds": 0}, DataError, "seeds must be"),
        ({"seeds": [0.5]}, DataError, "seeds must be"),
        ({"learning_rates": -0.1}, DataError, "learning_rates must be"),
        ({"learning_rates": []}, DataError, "learning_rates must be"),
        ({"epochs": 0}, DataError, "epochs must be a whole number of at least 1, got 0"),
        ({"batch_size": 2.5}, DataError, "batch_size must be"),
        ({"schedule": "linear"}, DataError, "'cosine' or 'constant', got 'linear'"),
        ({"target_accuracy": 95}, DataError, r"target_accuracy must be in \(0, 1\], got 95"),
        ({"weight_decay": -1}, DataError, "weight_decay must be"),
        ({"jobs": 0}, DataError, "jobs must be"),
        ({"device": "gpu"}, DataError, "device 'gpu' cannot be used here"),
        ({"architecture": lambda: 3}, ModelError, "must build a torch.nn.Module, got int"),
        ({"architecture": nn.Flatten}, ModelError, "no parameters"),
        ({"architecture": lambda: nn.Conv2d(1, 1, 1)}, ModelError, r"must answer logits \(N, K\)"),
        ({"architecture": lambda: nn.Linear(3, 3)}, ModelError, r"cannot take images of shape \(1, 28, 28\)"),
        ({"frozen": ["conv.weigth"]}, ModelError, "frozen names 'conv.weigth'.*did you mean 'conv.weight'"),
        ({"frozen": [name for name, _ in minimum().named_parameters()]}, ModelError, "nothing to train"),
        ({"initial": {"conv.bias": torch.zeros(2)}}, ModelError, r"must have the shape \(1,\), or \(5, 1\)"),
    ],
    ids=lambda value: "" if not isinstance(value, dict) else next(iter(value)),
)
def test_bad_input_is_explained(change: dict[str, object], error: type[Exception], message: str, few: Arrays) -> None:
    options = {"architecture": minimum, "data": few, "epochs": 1, **change}
    with pytest.raises(error, match=message):
        train_stacked(**options)  # type: ignore[arg-type]


class Deciding(nn.Module):
    """Asks a tensor for a number, which cannot be done for many models at once."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.linear(images.flatten(1))
        return logits if float(logits.detach().sum()) > 0 else -logits


def test_an_architecture_that_cannot_be_stacked_is_told(few: Arrays) -> None:
    with pytest.raises(ModelError, match="train its seeds one by one with `fit`"):
        train_stacked(Deciding, few, epochs=1)


def test_on_cuda_as_on_the_cpu(few: Arrays) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    for build in (minimum, lambda: minimum(pooling="average"), lambda: deep(norm=False)):
        cpu = train_stacked(build, few, seeds=3, epochs=2)
        cuda = train_stacked(build, few, seeds=3, epochs=2, device="cuda")
        for name, value in cpu.states.items():
            torch.testing.assert_close(cuda.states[name], value, atol=1e-3, rtol=0)
