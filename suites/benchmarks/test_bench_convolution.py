"""Convolution, forward and gradient, against a matrix product of as many operations in the same run.

A depthwise convolution is bound by memory: it is held against a copy of as many bytes.
"""

import pytest
import torch

from cnnaudit.benchmarking import convolution, matrix_product, memory_copy

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return request.param


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", ["forward", "input_gradient"])
@pytest.mark.parametrize("kind", ["1x1", "3x3", "5x5", "depthwise"])
def test_convolution(relative_cost, device, kind, direction, dtype, layout):
    options = {"dtype": DTYPES[dtype], "device": device}
    workload = convolution(kind, direction, channels_last=layout == "channels_last", **options)
    if kind == "depthwise":
        reference = memory_copy(workload.bytes, device=device)
    else:
        reference = matrix_product(workload.flops, **options)
    with torch.backends.cudnn.flags(benchmark=True, allow_tf32=False):
        cost = relative_cost(f"convolution/{kind}/{direction}/{dtype}/{layout}", workload, reference, device)
    assert cost.ratio > 0
