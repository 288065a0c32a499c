"""One workload timed against its reference, turn by turn in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cnnaudit.benchmarking.workloads import Workload


@dataclass(frozen=True)
class Cost:
    """What a workload cost.

    Attributes:
        ratio: median over rounds of seconds(workload) / seconds(reference), each pair timed back to back.
        interval: distribution-free 95 % interval of that median, from order statistics.
        seconds, reference_seconds: medians.
        flop_rate: operations per second of the workload's definition.
        peak_fraction: `flop_rate` over the reference's, where the reference is a matrix product.
        bandwidth: bytes per second that the definition needs.
    """

    ratio: float
    interval: tuple[float, float]
    seconds: float
    reference_seconds: float
    rounds: int
    flop_rate: float
    peak_fraction: float | None
    bandwidth: float

    def to_json(self) -> dict[str, Any]:
        """The cost as JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


def synchronizer(device: str) -> Callable[[], None]:
    """What waits until the device has done everything that was enqueued; nothing to wait for on a CPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.synchronize
    return lambda: None


def settle_allocator() -> None:
    """Make the C library keep freed blocks of up to 32 MB, whatever was allocated before.

    glibc returns such blocks to the system until one of them has been freed once, so that the same convolution took
    5 times longer in some runs than in others, all of it page faults.
    """
    import torch

    torch.empty(31 << 20, dtype=torch.uint8)


def timed(workload: Workload, synchronize: Callable[[], None], repeats: int = 1) -> float:
    """Seconds of one execution, from an idle device to an idle device, averaged over `repeats`."""
    synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        workload.run()
    synchronize()
    return (time.perf_counter() - start) / repeats


def summarize(seconds: np.ndarray, reference_seconds: np.ndarray, workload: Workload, reference: Workload) -> Cost:
    """The cost from paired timings, each of shape (rounds,)."""
    ratios = np.sort(np.asarray(seconds) / np.asarray(reference_seconds))
    own, other = float(np.median(seconds)), float(np.median(reference_seconds))
    low, high = median_ranks(len(ratios))
    rate = workload.flops / own
    return Cost(
        ratio=float(np.median(ratios)),
        interval=(float(ratios[low]), float(ratios[high])),
        seconds=own,
        reference_seconds=other,
        rounds=len(ratios),
        flop_rate=rate,
        peak_fraction=rate / (reference.flops / other) if reference.flops else None,
        bandwidth=workload.bytes / own,
    )


def measure(
    workload: Workload,
    reference: Workload,
    *,
    device: str = "cpu",
    rounds: int = 15,
    repeats: int = 1,
    warm_up: int = 3,
) -> Cost:
    """Time a workload and its reference in turn, after a warm-up.

    The pairs share the machine's momentary speed, so their ratio holds where the seconds drift.
    """
    synchronize = synchronizer(device)
    settle_allocator()
    for _ in range(warm_up):
        timed(workload, synchronize, repeats), timed(reference, synchronize, repeats)
    pairs = [(timed(reference, synchronize, repeats), timed(workload, synchronize, repeats)) for _ in range(rounds)]
    other, own = np.array(pairs).T
    return summarize(own, other, workload, reference)


def median_ranks(n: int, confidence: float = 0.95) -> tuple[int, int]:
    """Positions of the order statistics that enclose the median of n sorted values with that confidence.

    With fewer than 6 values the whole range is given.
    """
    from scipy.stats import binom

    low = max(int(binom.ppf((1 - confidence) / 2, n, 0.5)) - 1, 0)
    return low, n - 1 - low
