"""What is timed: convolutions, and the plain work they are held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

Direction = Literal["forward", "input_gradient"]
Kind = Literal["1x1", "3x3", "5x5", "depthwise"]


@dataclass(frozen=True)
class Workload:
    """A call without arguments, with the arithmetic and the memory traffic that its definition needs.

    Attributes:
        run: does the work once; on CUDA it only enqueues it.
        flops: floating-point operations of the definition (a multiply-add counts two).
        bytes: bytes that must be read and written at least once.
    """

    name: str
    run: Callable[[], object]
    flops: float
    bytes: float


@dataclass(frozen=True)
class Shape:
    """Sizes of a convolution: batch, channels in and out, height and width, 'same' padding."""

    batch: int
    channels: int
    size: int


CPU_SHAPE = Shape(8, 64, 56)
CUDA_SHAPE = Shape(128, 256, 56)


def convolution(
    kind: Kind,
    direction: Direction,
    *,
    dtype: torch.dtype,
    device: str = "cpu",
    channels_last: bool = False,
    shape: Shape | None = None,
) -> Workload:
    """A 'same' convolution of C channels onto C channels, forward or its gradient with respect to the input.

    Forward FLOPs are 2 N H W C (C / groups) k^2; the input gradient costs the same.

    Example:
        >>> convolution("3x3", "forward", dtype=torch.float32, shape=Shape(1, 4, 8)).flops
        18432.0
    """
    shape = shape or (CUDA_SHAPE if device.startswith("cuda") else CPU_SHAPE)
    kernel = 3 if kind == "depthwise" else int(kind[0])
    groups = shape.channels if kind == "depthwise" else 1
    layout = torch.channels_last if channels_last else torch.contiguous_format
    draw = torch.Generator().manual_seed(0)

    def tensor(*sizes: int) -> torch.Tensor:
        return torch.randn(*sizes, generator=draw).to(device=device, dtype=dtype, memory_format=layout)

    images = tensor(shape.batch, shape.channels, shape.size, shape.size)
    weight = tensor(shape.channels, shape.channels // groups, kernel, kernel)
    padding = kernel // 2

    def forward() -> torch.Tensor:
        return torch.nn.functional.conv2d(images, weight, padding=padding, groups=groups)

    upstream = torch.ones_like(forward())

    def input_gradient() -> object:
        pair, zero = [padding, padding], [0, 0]
        return torch.ops.aten.convolution_backward(
            upstream, images, weight, None, [1, 1], pair, [1, 1], False, zero, groups, [True, False, False]
        )

    points = shape.batch * shape.size**2
    return Workload(
        name=f"{direction} {kind} {'channels_last' if channels_last else 'contiguous'} {str(dtype).split('.')[1]}",
        run=forward if direction == "forward" else input_gradient,
        flops=2.0 * points * shape.channels * (shape.channels // groups) * kernel**2,
        bytes=float(images.element_size() * (2 * images.numel() + weight.numel())),
    )


def matrix_product(flops: float, *, dtype: torch.dtype, device: str = "cpu") -> Workload:
    """A square matrix product of about that many operations (2 n^3), sizes a multiple of 64."""
    n = max(64, round((flops / 2) ** (1 / 3) / 64) * 64)
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.randn(n, n, generator=draw).to(device=device, dtype=dtype) for _ in range(2))
    return Workload(f"matrix product {n}", lambda: left @ right, 2.0 * n**3, 3.0 * n * n * left.element_size())


def memory_copy(traffic: float, *, device: str = "cpu") -> Workload:
    """A copy that reads and writes about that many bytes in all."""
    source = torch.zeros(max(int(traffic // 8), 1), dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    return Workload("memory copy", lambda: target.copy_(source), 0.0, 8.0 * len(source))
