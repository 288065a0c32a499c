"""Every test draws from one seed: `--seed N` chooses it, so that a test that passes for one draw only can be found."""

import random

import numpy as np
import pytest

pytest_plugins = ["pytester"]  # allowed in the first conftest only
collect_ignore_glob = ["conftest.py", "*/conftest.py"]  # --doctest-modules would take them for one module


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=0, help="seed of torch, NumPy and Python in every test (default: 0)")


@pytest.fixture(autouse=True)
def _seeded(request):
    import torch

    seed = request.config.getoption("--seed")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
