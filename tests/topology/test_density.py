"""The density filter against all distances, measured one by one."""

import numpy as np
import pytest

from cnnaudit.core.errors import DataError
from cnnaudit.topology import density_filter


def slow(points: np.ndarray, k: int) -> np.ndarray:
    """The k-th smallest distance of each point to another one."""
    return np.array(
        [np.sort(np.linalg.norm(np.delete(points, i, 0) - points[i], axis=1))[k - 1] for i in range(len(points))]
    )


CLOUDS = {
    "normal": np.random.default_rng(0).normal(size=(700, 9)),
    "far away": np.random.default_rng(1).normal(size=(500, 4)) + 1e4,
    "duplicates": np.repeat(np.random.default_rng(2).normal(size=(60, 3)), 8, axis=0),
    "lattice": np.stack(np.meshgrid(*[np.arange(7.0)] * 3), -1).reshape(-1, 3),
    "copies": np.concatenate([np.zeros((400, 3)), np.random.default_rng(4).normal(size=(300, 3))]),
    "nearly copies": np.random.default_rng(5).normal(size=(600, 3)) * np.repeat([1e-5, 1], 300)[:, None],
    "two densities": np.concatenate([np.random.default_rng(3).normal(0, s, (300, 5)) for s in (0.01, 3)]),
}


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("k", [1, 7, 100])
def test_distances_are_those_of_the_definition(cloud, k):
    points = CLOUDS[cloud]
    assert np.allclose(density_filter(points, k).distance, slow(points, k), rtol=1e-12, atol=1e-12)


def test_points_too_close_to_call_are_measured_one_by_one(monkeypatch):
    monkeypatch.setattr("cnnaudit.topology.density.CROWD", 50)
    points = CLOUDS["nearly copies"]
    assert np.allclose(density_filter(points, 7).distance, slow(points, 7), rtol=1e-9, atol=1e-12)


def test_copies_by_the_ten_thousand_take_no_time():
    points = np.repeat([[0.0, 1.0, 2.0], [3.0, 1.0, 0.0]], 15_000, axis=0)
    assert not density_filter(points, 100).distance.any()  # 12 s and 4 GB, were all pairs measured


@pytest.mark.parametrize("sample", [4, 64])
def test_the_sample_that_guesses_changes_no_number(monkeypatch, sample):
    points = CLOUDS["two densities"]
    before = density_filter(points, 20, seed=0).distance
    monkeypatch.setattr("cnnaudit.topology.density.SAMPLE", sample)
    assert np.array_equal(before, density_filter(points, 20, seed=1).distance)


def test_the_densest_share_is_kept():
    points = CLOUDS["two densities"]
    assert density_filter(points, 10, share=0.5).kept.tolist() == list(range(300))
    assert (
        len(density_filter(points, 10, share=1).kept) == 600 and len(density_filter(points, 10, share=1e-9).kept) == 1
    )


@pytest.mark.parametrize(
    "points, settings, said",
    [
        (np.zeros((5, 2)), {"k": 5}, "lower k"),
        (np.full((5, 2), np.nan), {"k": 1}, "NaN"),
        (np.zeros((5, 2)), {"k": 1, "share": 0.0}, "share"),
    ],
)
def test_bad_input_is_told(points, settings, said):
    with pytest.raises(DataError, match=said):
        density_filter(points, **settings)
