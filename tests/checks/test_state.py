"""A check leaves the process as it found it."""

import os
import random
import warnings

import numpy as np
import pytest
import torch

from cnnaudit.checks.state import process_state


def state():
    return (
        torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads(), torch.is_grad_enabled(),
        torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(), list(warnings.filters),
        os.getcwd(),
    )  # fmt: skip


@pytest.mark.parametrize("crash", [False, True])
def test_everything_is_restored(tmp_path, crash):
    before = state()
    try:
        with process_state():
            torch.set_default_dtype(torch.float64)
            torch.set_default_device("meta")
            torch.set_num_threads(torch.get_num_threads() + 1)
            torch.set_grad_enabled(False)
            torch.manual_seed(3), random.seed(3), np.random.seed(3)
            warnings.simplefilter("error")
            os.chdir(tmp_path)
            assert not any(a == b for a, b in zip(state(), before))
            if crash:
                raise GeneratorExit
    except GeneratorExit:
        assert crash
    assert state() == before
