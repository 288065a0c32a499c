"""Gradients, SmoothGrad and integrated gradients against closed forms and sums written out."""

from __future__ import annotations

import pytest
import torch
from small import STYLES, pixels, small
from torch import nn

from cnnaudit.attribution import batches as attribution_batches
from cnnaudit.attribution import gradient, gradient_times_input, integrated_gradients, smooth_grad
from cnnaudit.core.errors import AuditError, DataError, ModelError, UnsupportedError

ALL = (gradient, gradient_times_input, smooth_grad, integrated_gradients)


def linear() -> tuple[nn.Module, torch.Tensor]:
    net = nn.Sequential(nn.Flatten(), nn.Linear(27, 4)).double()
    return net, net[1].weight.detach().view(4, 3, 3, 3)


def test_linear_models_have_closed_forms() -> None:
    net, weights = linear()
    x, classes = pixels(3, size=3), torch.tensor([2, 0, 3])
    start = torch.linspace(0, 1, 27, dtype=torch.float64).view(3, 3, 3)
    torch.testing.assert_close(gradient(net, x, classes), weights[classes])
    torch.testing.assert_close(gradient_times_input(net, x, classes), x * weights[classes])
    torch.testing.assert_close(smooth_grad(net, x, classes), weights[classes])
    torch.testing.assert_close(
        integrated_gradients(net, x, classes, baseline=start, steps=3), (x - start) * weights[classes]
    )


@pytest.mark.parametrize("style", STYLES)
def test_gradient_is_the_difference_quotient(style: str) -> None:
    net, x, h = small(style), pixels(1, size=17), 1e-7
    found = gradient(net, x, 1)
    unit = gradient(net, x, layer=net.layer(2), unit=2)
    for place in ((0, 3, 4), (1, 8, 8), (2, 16, 0)):
        moved = x.clone()
        moved[(0, *place)] += h
        assert float((net(moved) - net(x)).detach()[0, 1]) / h == pytest.approx(
            float(found[(0, *place)]), rel=1e-4, abs=1e-8
        )
    twin = small("modules")
    torch.testing.assert_close(unit, gradient(twin, x, layer="relu2", unit=2))
    torch.testing.assert_close(found, gradient(twin, x, 1))


@pytest.mark.parametrize(
    ("style", "quadrature"), [(style, "gauss_legendre") for style in STYLES] + [("modules", "trapezoid")]
)
def test_integrated_gradients_are_a_fine_riemann_sum(style: str, quadrature: str) -> None:
    net, x, start = small(style, seed=3), pixels(2), pixels(2, seed=7)
    steps, modules = 80, small(seed=3)
    total = torch.zeros_like(x)
    for a in (torch.arange(steps, dtype=torch.float64) + 0.5) / steps:
        point = (start + a * (x - start)).requires_grad_()
        total += torch.autograd.grad(modules(point)[:, 2].sum(), point)[0] / steps
    expected = (x - start) * total
    found = integrated_gradients(net, x, 2, baseline=start, steps=60, quadrature=quadrature)
    assert (found - expected).norm() < 4e-2 * expected.norm()
    rise = (net(x) - net(start))[:, 2]
    torch.testing.assert_close(found.sum((1, 2, 3)), rise, rtol=4e-2, atol=1e-3)  # completeness


def test_the_quadratures_are_exact_for_what_they_promise() -> None:
    class Cube(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x**4).flatten(1).sum(1, keepdim=True)

    x = pixels(1, size=3)
    torch.testing.assert_close(integrated_gradients(Cube(), x, 0, steps=2), x**4)  # degree 2 * 2 - 1
    square = nn.Sequential(Cube())
    ends = integrated_gradients(square, x, 0, steps=2, quadrature="trapezoid")
    torch.testing.assert_close(ends, x * (0 + 4 * x**3) / 2)
    for steps, quadrature in ((0, "gauss_legendre"), (1, "trapezoid"), (5, "simpson")):
        with pytest.raises(AuditError, match="expected gauss_legendre"):
            integrated_gradients(square, x, 0, steps=steps, quadrature=quadrature)
    with pytest.raises(DataError, match="broadcasts"):
        integrated_gradients(square, x, 0, baseline=torch.zeros(4))


def test_smooth_grad_is_the_mean_over_noisy_copies() -> None:
    net, x = small(), pixels(3)
    noisy = smooth_grad(net, x, 1, samples=60, noise=0.3, generator=torch.Generator().manual_seed(4))
    draw = torch.Generator().manual_seed(5)
    mean = torch.zeros_like(x)
    spread = 0.3 * (x.flatten(1).amax(1) - x.flatten(1).amin(1)).view(3, 1, 1, 1)
    for _ in range(60):
        mean += gradient(net, x + spread * torch.randn(x.shape, generator=draw, dtype=x.dtype), 1) / 60
    assert (noisy - mean).norm() < 0.4 * mean.norm() < 0.4 * 1.2 * noisy.norm()
    assert (noisy - gradient(net, x, 1)).norm() > 0.2 * mean.norm()
    torch.testing.assert_close(smooth_grad(net, x, 1, noise=0), gradient(net, x, 1))


def test_smooth_grad_is_the_same_whatever_the_batch_and_the_global_seed() -> None:
    net, x = small(), pixels(5)
    state = torch.get_rng_state()
    first = smooth_grad(net, x, samples=7, batch_size=32)
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(11)
    torch.testing.assert_close(first, smooth_grad(net, x, samples=7, batch_size=3))
    other = smooth_grad(net, x, samples=7, generator=torch.Generator().manual_seed(1))
    assert not torch.allclose(first, other)
    with pytest.raises(AuditError, match="samples >= 1"):
        smooth_grad(net, x, samples=0)


def test_the_class_is_that_of_the_image_not_of_a_point_on_the_way() -> None:
    net, x = small(seed=5), pixels(4)
    predicted = net(x).argmax(1)
    torch.testing.assert_close(integrated_gradients(net, x), integrated_gradients(net, x, predicted))
    torch.testing.assert_close(smooth_grad(net, x), smooth_grad(net, x, predicted))


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(("channels", "n"), [(1, 1), (3, 3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_types_batches_and_channels(method, channels: int, n: int, dtype: torch.dtype) -> None:
    net, x = small("in_place", channels), pixels(n, channels)
    expected = method(net, x, 1)
    found = method(net.to(dtype), x.to(dtype), 1)
    assert found.shape == x.shape and found.dtype == dtype
    allowed = {torch.float64: 0.0, torch.float32: 1e-4, torch.bfloat16: 0.2}[dtype]
    assert (found.double() - expected).norm() <= allowed * expected.norm()


@pytest.mark.parametrize("method", ALL)
def test_autocast_and_channels_last_are_followed(method) -> None:
    net, x = small().float(), pixels().float()
    expected = method(net, x, 1)
    torch.testing.assert_close(method(net, x.contiguous(memory_format=torch.channels_last), 1), expected)
    with torch.autocast("cpu", torch.bfloat16):
        found = method(net, x, 1)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).norm() < 0.1 * expected.norm()


@pytest.mark.parametrize("method", ALL)
def test_batches_do_not_matter_and_gradients_need_not_be_enabled(method) -> None:
    net, x = small(), pixels(5)
    expected = method(net, x)
    torch.testing.assert_close(method(net, x, batch_size=2), expected)
    with torch.no_grad():
        torch.testing.assert_close(method(net, x), expected)
    with torch.inference_mode():
        torch.testing.assert_close(method(net, x.clone()).clone(), expected)


def test_memory_that_runs_out_halves_the_batch_and_says_so(monkeypatch) -> None:
    net, x = small(), pixels(5)
    expected = integrated_gradients(net, x, 1, steps=4)

    class Tight(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            if len(batch) > 3:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
            return net(batch)

    with pytest.warns(RuntimeWarning, match="memory ran out"):
        torch.testing.assert_close(integrated_gradients(Tight(), x, 1, steps=4), expected)

    class Full(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("CUDA out of memory.")

    with pytest.raises(ModelError, match="does not suffice for a single image"):
        gradient(Full(), x)


def test_a_cpu_batch_stays_in_the_caches() -> None:
    large, tiny = torch.empty(1, 3, 224, 224), torch.empty(1, 1, 28, 28)
    assert attribution_batches.cpu_size(large, 32) == 8
    assert attribution_batches.cpu_size(tiny, 32) == 32
    assert attribution_batches.cpu_size(torch.empty(1, 3, 2000, 2000), 32) == 1


def test_models_that_change_their_input_or_hide_their_calls() -> None:
    class Normalizing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x -= 0.5
            x /= 0.25
            return x.flatten(1)[:, :2]

    x = pixels(2)
    before = x.clone()
    assert gradient(Normalizing(), x, 0)[:, 0, 0, 0].tolist() == [4, 4]
    assert x.equal(before)
    scripted = torch.jit.trace(small(), x)
    torch.testing.assert_close(gradient(scripted, x, 1), gradient(small(), x, 1))
    torch.testing.assert_close(
        integrated_gradients(scripted, x, 1, steps=4), integrated_gradients(small(), x, 1, steps=4)
    )
    with pytest.raises(UnsupportedError, match="TorchScript"):
        gradient(scripted, x, layer="conv1", unit=0)


def test_scores_without_a_derivative_are_refused() -> None:
    class Frozen(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return x.flatten(1)[:, :2] * 2

    with pytest.raises(UnsupportedError, match="occlusion and LIME need no gradient"):
        gradient(Frozen(), pixels())
    with pytest.raises(ModelError, match=r"expected logits of shape \(2, classes\)"):
        gradient(nn.Identity(), pixels())
    with pytest.raises(ModelError, match="NaN or infinite logits"):
        gradient(nn.Sequential(nn.Flatten(), nn.Softmax(0), nn.Threshold(2, float("nan"))), pixels())


def test_zero_everywhere_is_said() -> None:
    dead = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(450, 2)).double()
    nn.init.constant_(dead[0].bias, -100)
    with pytest.warns(RuntimeWarning, match="gradient: the attribution is zero everywhere for 2 of 2 images"):
        gradient(dead, pixels())
