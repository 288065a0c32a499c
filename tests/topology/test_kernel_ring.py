"""The ring beside its three nulls: planted circles, clouds without any, and bad input."""

import sys

import numpy as np
import pytest

from cnnaudit.core.errors import DataError, UnsupportedError
from cnnaudit.topology import ring
from cnnaudit.topology._ring import around
from cnnaudit.topology.nulls import GAUSSIAN, NOISE, STUDENT, Settings, directions, gaussian_like, student_like
from cnnaudit.topology.synthetic_ring import synthetic_ring

pytest.importorskip("ripser", reason='persistent homology needs "cnnaudit[topology]"')

FEW = {"draws": 3, "resamples": 9, "settings": Settings(landmarks=120)}


@pytest.fixture(scope="module")
def bent():
    points = synthetic_ring(1500, 2.0, np.random.default_rng(0))
    return points, ring(points, **FEW)


def test_a_bent_ring_is_beyond_both_nulls(bent):
    _, found = bent
    assert found.p_value == 0.1 and found.excess > 0.2 and found.relative > 0.4
    assert found.gap > 0 and found.death - found.birth == pytest.approx(found.lifetime)


def test_its_coordinate_is_the_angle_of_the_edges():
    rng = np.random.default_rng(1)
    points = synthetic_ring(1500, 4.0, rng)
    angle = np.random.default_rng(1).uniform(0, 2 * np.pi, 1500)
    found = ring(points, **FEW).coordinates
    known = np.isfinite(found)
    assert known.mean() > 0.6
    assert max(abs(np.exp(1j * (found + sign * angle))[known].mean()) for sign in (1, -1)) > 0.9


def test_kernels_around_the_ring_turn_with_it(bent):
    points, found = bent
    rows = around(found, points, 12)
    assert len(rows) == 12 and set(rows) <= set(found.dense) and (np.diff(found.coordinates[rows]) > 0).all()
    shapes, _ = directions(points[rows])
    likeness = shapes @ shapes.T
    assert (np.diagonal(likeness, 1) > np.diagonal(likeness, 6).max()).all()


def test_a_plane_ring_is_beyond_noise_and_not_beyond_its_covariance():
    found = ring(synthetic_ring(1500, 2.0, np.random.default_rng(0), "plane"), describe=False, **FEW)
    assert found.p_values[NOISE] == 0.1 and found.p_values[GAUSSIAN] > 0.1
    assert found.relative > 0.5 and abs(found.excess) < 0.1 and found.nearest != NOISE


def test_noise_has_no_ring():
    found = ring(np.random.default_rng(5).uniform(-1, 1, (1500, 9)), **FEW)
    assert found.relative < 0.25 and abs(found.excess) < 0.06 and found.stable_loop <= 6


def test_the_same_seed_gives_the_same_ring_and_another_nearly_the_same(bent):
    points, found = bent
    state = np.random.get_state()[1].copy()
    again, other = ring(points, **FEW), ring(points, seed=1, **FEW)
    assert np.array_equal(again.lifetimes, found.lifetimes)
    assert np.array_equal(again.null[GAUSSIAN], found.null[GAUSSIAN])
    assert np.array_equal(again.coordinates, found.coordinates, equal_nan=True)
    assert abs(other.relative - found.relative) < 0.1
    assert np.array_equal(state, np.random.get_state()[1])


def test_neither_scale_nor_brightness_of_kernels_counts(bent):
    points, found = bent
    rng = np.random.default_rng(2)
    changed = points * rng.uniform(0.5, 9, (len(points), 1)) + rng.normal(size=(len(points), 1))
    assert np.allclose(ring(changed, describe=False, **FEW).lifetimes, found.lifetimes, atol=1e-6)


def test_constant_kernels_are_left_out_and_said():
    points = np.concatenate(
        [np.zeros((50, 9)), np.full((50, 9), 3.0), synthetic_ring(300, 4.0, np.random.default_rng(0))]
    )
    found = ring(points, **FEW)
    assert found.left_out == 100 and found.kernels == 400 and found.dense.min() >= 100
    assert found.coordinates is None or np.isnan(found.coordinates[:100]).all()


def test_the_same_kernel_by_the_thousand_is_no_ring():
    found = ring(np.tile(np.arange(9.0), (3000, 1)), **FEW)
    assert found.lifetime == 0 and found.coordinates is None and found.p_value == 1
    assert not len(around(found, np.tile(np.arange(9.0), (3000, 1))))


def test_a_few_kernels_by_the_thousand_are_measured():
    few = np.random.default_rng(0).normal(size=(12, 9))
    found = ring(np.repeat(few, 120, axis=0), **FEW)
    assert np.isfinite(found.excess) and found.kernels == 1440


@pytest.mark.parametrize(
    "points, said",
    [
        (np.zeros((500, 9)), "not constant, got 0"),
        (np.eye(9), "at least 100"),
        (np.random.default_rng(0).normal(size=(1, 9)), "at least 100"),
        (np.where(np.eye(500, 9), np.nan, 1.0), "9 of 500 kernels hold NaN"),
        (np.zeros((500, 1)), "three weights"),
        (np.zeros((5, 5, 3, 3)), "three weights"),
    ],
)
def test_bad_input_is_told(points, said):
    with pytest.raises(DataError, match=said):
        ring(points, **FEW)


def test_without_ripser_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ripser", None)
    with pytest.raises(UnsupportedError, match=r"cnnaudit\[topology\]"):
        ring(np.random.default_rng(0).normal(size=(300, 9)), **FEW)


def test_the_covariance_of_the_null_is_that_of_the_kernels():
    points = synthetic_ring(2000, 1.0, np.random.default_rng(0)) @ np.diag(np.arange(1.0, 10)) + 2
    drawn = gaussian_like(points)(200_000, np.random.default_rng(1))
    assert np.allclose(drawn.mean(0), points.mean(0), atol=0.05)
    assert np.allclose(np.cov(drawn.T), np.cov(points.T), rtol=0.05, atol=0.05)


def test_a_few_large_kernels_decide_the_covariance_and_not_the_fit_of_student():
    """Isotropic kernels, of which one in a hundred is thirty times as large and of one shape."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3000, 9))
    points[:30] = 90 * rng.normal(size=(30, 1)) * np.eye(9)[0]
    spread = {name: np.linalg.eigvalsh(np.cov(directions(draw(4000, rng))[0].T))[1:] for name, draw in
              ((GAUSSIAN, gaussian_like(points)), (STUDENT, student_like(points)))}  # fmt: skip
    assert spread[GAUSSIAN][-1] > 3 * spread[GAUSSIAN][-2] and spread[STUDENT][-1] < 1.3 * spread[STUDENT][-2]


def test_student_s_shape_is_that_of_the_kernels():
    rng = np.random.default_rng(0)
    root = np.tril(rng.normal(size=(9, 9))) + 2 * np.eye(9)
    points = 2 + np.sqrt(3 / rng.chisquare(3, 20_000))[:, None] * (rng.normal(size=(20_000, 9)) @ root.T)
    drawn = student_like(points)(100_000, rng)
    quantiles = np.linspace(0.1, 0.9, 9)
    for direction in rng.normal(size=(5, 9)):
        assert np.allclose(np.quantile(drawn @ direction, quantiles), np.quantile(points @ direction, quantiles),
                           atol=0.05 * np.ptp(np.quantile(points @ direction, quantiles)))  # fmt: skip
