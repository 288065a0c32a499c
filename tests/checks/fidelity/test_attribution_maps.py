"""Cells are averages, and the rank similarity is Spearman's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from cnnaudit.checks.fidelity._attribution_maps import cells, flat, rank_similarity


def test_cells_are_the_means_of_their_pixels():
    maps = torch.arange(64.0).view(1, 8, 8)
    found = cells(maps, grid=2)
    expected = [maps[0, r : r + 4, c : c + 4].mean().item() for r in (0, 4) for c in (0, 4)]
    assert found.tolist() == [expected]
    assert cells(maps).shape == (1, 64)


def test_rank_similarity_is_spearmans_correlation_of_each_row():
    rng = np.random.default_rng(0)
    first, second = rng.random((5, 30)).round(1), rng.random((5, 30)).round(1)  # with ties
    expected = [spearmanr(a, b).statistic for a, b in zip(first, second)]
    assert rank_similarity(first, second) == pytest.approx(expected)


def test_a_flat_map_is_like_another_flat_one_only():
    slope = np.arange(4.0)[None]
    level, zero = np.full((1, 4), 3.0), np.zeros((1, 4))
    assert rank_similarity(level, zero).tolist() == [1.0]
    assert rank_similarity(level, slope).tolist() == [0.0]
    assert flat(np.concatenate([level, zero, slope])).tolist() == [True, True, False]
