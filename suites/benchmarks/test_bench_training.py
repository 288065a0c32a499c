"""Training many minimum models in one stack, against a plain loop that trains one module, in the same run.

The cost is an epoch of the stack in epochs of the loop: 128 models at a cost of 4 train 32 times as fast.
"""

from functools import partial

import pytest
import torch

from cnnaudit.benchmarking.training import looped_training, stacked_training
from cnnaudit.models import minimum

ARCHITECTURES = {16: minimum, 333: partial(minimum, pool=7, hidden=16)}


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return request.param


@pytest.mark.parametrize("models", [10, 128])
@pytest.mark.parametrize("parameters", ARCHITECTURES)
def test_stacked_training(relative_cost, device, parameters, models):
    build = ARCHITECTURES[parameters]
    workload, reference = stacked_training(build, models, device), looped_training(build, device)
    cost = relative_cost(f"training/{parameters}/{models}", workload, reference, device)
    assert cost.ratio > 0
