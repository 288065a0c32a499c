"""The fixture that times a workload beside its reference and stores their ratio."""

import numpy as np
import pytest


@pytest.fixture
def relative_cost(benchmark):
    """`relative_cost(name, workload, reference, device)`: pairs timed back to back, on one CPU thread."""
    import torch

    from cnnaudit.benchmarking._measure import settle_allocator, summarize, synchronizer, timed
    from cnnaudit.benchmarking.machine import identity

    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run(name, workload, reference, device="cpu", rounds=25, warm_up=3):
        synchronize = synchronizer(device)
        repeats = 10 if device.startswith("cuda") else 1
        reference_seconds = []
        settle_allocator()

        def once():
            for _ in range(repeats):
                workload.run()
            synchronize()

        def before_each_round():
            reference_seconds.append(timed(reference, synchronize, repeats))

        benchmark.pedantic(once, setup=before_each_round, rounds=rounds, warmup_rounds=warm_up)
        own = np.array(benchmark.stats.stats.data) / repeats
        cost = summarize(own, np.array(reference_seconds[-rounds:]), workload, reference)
        benchmark.extra_info["cnnaudit"] = {
            "name": name,
            "reference": reference.name,
            "cost": cost.to_json(),
            "machine": identity(device),
        }
        return cost

    yield run
    torch.set_num_threads(threads)


@pytest.fixture
def against(relative_cost):
    """`against(name, ours, peer)`: ours and a peer's same work timed in turn, the ratio stored and returned."""
    from cnnaudit.benchmarking.workloads import Workload

    def run(name, ours, peer, rounds=5, **options):
        own, other = Workload(name, ours, 0, 0), Workload(f"{name}/peer", peer, 0, 0)
        return relative_cost(name, own, other, rounds=rounds, **options)

    return run
