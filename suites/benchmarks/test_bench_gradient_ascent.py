"""Gradient ascent: a step of one unit against a plain forward and backward pass, and against Lucent, in one run.

GoogLeNet of random weights at 224, layer inception4a. The plain pass is one image forward through the whole network and
back to the pixels, weights and all, as a first script does it. `peak` is the share of what 3x3 convolutions in the same
run reach: the operations of the cut forward pass and of the gradient of its input, over the seconds of a step. bf16
stands apart.
"""

import time

import pytest
import torch

SIZE, UNITS, STEPS, LAYER = 224, 3, 16, "inception4a"
DTYPES = {"fp32": None, "bf16": torch.bfloat16}


@pytest.fixture(scope="module")
def network():
    from torchvision.models import googlenet

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return googlenet(weights=None, aux_logits=False, init_weights=False).eval()


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return request.param


@pytest.fixture(scope="module")
def living(network):
    """Units that a step of noise moves, so that nothing is tried twice."""
    from cnnaudit.optimization import channel, maximize

    found = maximize(network, channel(LAYER, range(3 * UNITS)), (3, SIZE, SIZE), steps=1)
    return [k for k in range(len(found)) if found.names[k] not in found.dead][:UNITS]


def ascent(network, units, dtype, steps=STEPS):
    """A call that makes all the steps for those units, with what stands before the first and the looks between."""
    from dataclasses import replace

    from cnnaudit.optimization import RECIPES, channel, maximize

    recipe = replace(RECIPES["default"], tolerance=-1e9)  # nothing stops early
    options = {"steps": steps, "batch_size": len(units), "dtype": dtype}
    return lambda: maximize(network, channel(LAYER, units), (3, SIZE, SIZE), recipe, **options)


def plain_passes(network, device, count):
    """As many plain passes as there are steps of units, forward to the last layer and back."""
    images = torch.rand(1, 3, SIZE, SIZE, device=device, generator=torch.Generator(device).manual_seed(0))

    def run():
        for _ in range(count):
            network.zero_grad(set_to_none=True)
            network(images.clone().requires_grad_()).sum().backward()

    return run


def operations(network):
    """Of the layers up to the cut, forward and the gradient of the input, per image."""
    from torch.utils.flop_counter import FlopCounterMode

    from cnnaudit.interventions import run_until

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run_until(network, torch.rand(1, 3, SIZE, SIZE, device=next(network.parameters()).device), LAYER)
    return 2 * counter.get_total_flops()


def convolution_peak(device, dtype):
    """Operations per second of a 3x3 convolution in channels_last."""
    from cnnaudit.benchmarking import convolution
    from cnnaudit.benchmarking._measure import synchronizer

    work, wait = convolution("3x3", "forward", dtype=dtype, device=device, channels_last=True), synchronizer(device)
    seconds = []
    for _ in range(12):
        begin = time.perf_counter()
        work.run()
        wait()
        seconds.append(time.perf_counter() - begin)
    return work.flops / sorted(seconds)[len(seconds) // 2]


@pytest.mark.parametrize("precision", DTYPES)
def test_steps_against_plain_passes(against, benchmark, network, living, device, precision):
    dtype = DTYPES[precision]
    model = network.to(device)
    steps = STEPS if device == "cpu" else 64
    count = steps * len(living)
    ours, plain = ascent(model, living, dtype, steps), plain_passes(model, device, count)
    ascent(model, living, dtype, 1)(), plain_passes(model, device, 1)()  # the warm-up, as far as it is needed
    cost = against(f"gradient_ascent/{precision}", ours, plain, rounds=3, warm_up=0, device=device)
    per_step = float(benchmark.stats.stats.median) / count / (10 if device == "cuda" else 1)
    peak = convolution_peak(device, dtype or torch.float32)
    benchmark.extra_info["unit_steps_per_second"] = 1 / per_step
    benchmark.extra_info["peak"] = operations(model) / per_step / peak
    model.cpu()
    assert cost.ratio > 0


@pytest.mark.parametrize("precision", DTYPES)
def test_steps_against_lucent(against, network, living, precision):
    render = pytest.importorskip("lucent.optvis.render")
    from lucent.optvis import objectives, param

    def theirs(steps=STEPS):
        for unit in living:
            goal = objectives.channel(LAYER, unit)
            options = {"thresholds": (steps,), "progress": False, "show_image": False}
            render.render_vis(network, goal, lambda: param.image(SIZE), **options)
            for module in network.modules():  # the hooks that it leaves behind
                module._forward_hooks.clear()

    ours = ascent(network, living, DTYPES[precision])
    ascent(network, living, DTYPES[precision], 1)(), theirs(1)
    assert against(f"gradient_ascent/{precision}/lucent", ours, theirs, rounds=3, warm_up=0).ratio > 0
