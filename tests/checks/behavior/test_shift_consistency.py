"""Shifts by a pixel or two, counted."""

import numpy as np
import torch

from cnnaudit.checks.behavior.shift_consistency import shift_consistency
from cnnaudit.core.statistics import proportion_interval
from cnnaudit.target import AuditTarget


class Corner(torch.nn.Module):
    """Answers whether the pixel at a place is bright."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def forward(self, images):
        level = images[:, 0, self.at, self.at] - 0.5
        return torch.stack((-level, level), 1)


def dotted(at, n=300):
    """Every image is black but for one bright pixel at (8, 8)."""
    images = np.zeros((n, 1, 16, 16), np.float32)
    images[:, :, 8, 8] = 1
    return AuditTarget.from_arrays("dots", Corner(at), {"validation": (images, np.arange(n) % 2)}, ("dark", "bright"))


def test_every_shift_moves_a_dot_away():
    found = shift_consistency(dotted(8))
    assert found.statistic == 1 and found.verdict == "fail" and not found.gate and found.n == 100
    assert found.interval == proportion_interval(100, 100, 0.95)
    shown = next(item for item in found.evidence if item["kind"] == "images")["images"]
    assert [item["caption"] for item in shown] == ["bright", "dark"] * 3


def test_far_from_the_dot_nothing_changes():
    found = shift_consistency(dotted(2))
    assert found.statistic == 0 and found.verdict == "pass"
    assert shift_consistency(dotted(2), profile="standard").n == 300


def test_a_dot_comes_near_by_some_shifts():
    # (8, 8) reaches (9, 9) by the shift (1, 1) only: one of the eight shifts of reach 1, which half of the images get
    found = shift_consistency(dotted(9), profile="standard")
    assert 0.02 < found.statistic < 0.13
