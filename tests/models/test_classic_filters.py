"""The classic filters: their definitions, their norms, their span."""

from __future__ import annotations

import numpy as np
import pytest

from cnnaudit.core.errors import ModelError
from cnnaudit.models import classic_filters


@pytest.mark.parametrize("size", range(2, 8))
def test_every_filter_has_the_size_and_norm_1(size: int) -> None:
    for name, values in classic_filters(size).items():
        assert values.shape == (size, size), name
        assert np.linalg.norm(values) == pytest.approx(1), name


def test_the_3x3_filters_are_the_published_ones() -> None:
    filters = classic_filters()
    published = {
        "sobel x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
        "prewitt y": [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
        "scharr x": [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]],
        "diagonal up": [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]],
        "laplacian": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
        "gaussian blur": [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
    }
    for name, values in published.items():
        assert np.allclose(filters[name], np.array(values) / np.linalg.norm(values)), name


def test_sobel_of_5_is_the_published_one() -> None:
    expected = np.outer([1, 4, 6, 4, 1], [-1, -2, 0, 2, 1])
    assert np.allclose(classic_filters(5)["sobel x"], expected / np.linalg.norm(expected))


@pytest.mark.parametrize("size", range(2, 8))
def test_edges_and_laplacians_do_not_answer_to_a_constant_image(size: int) -> None:
    for name, values in classic_filters(size).items():
        assert abs(values.sum()) < 1e-12 or "blur" in name


def test_the_edge_filters_answer_where_their_names_say() -> None:
    ramp = np.arange(3.0)
    right, down = np.tile(ramp, (3, 1)), np.tile(ramp[:, None], (1, 3))
    filters = classic_filters()
    for kind in ("sobel", "prewitt", "scharr"):
        assert (filters[f"{kind} x"] * right).sum() > 0 and (filters[f"{kind} y"] * down).sum() > 0
    assert (filters["diagonal down"] * (right + down)).sum() > 0
    assert (filters["diagonal up"] * (right - down)).sum() > 0


@pytest.mark.parametrize(("size", "dimensions"), [(2, 3), (3, 7)])
def test_their_span_is_what_is_promised(size: int, dimensions: int) -> None:
    bank = np.stack([values.ravel() for values in classic_filters(size).values()])
    assert np.linalg.matrix_rank(bank) == dimensions


@pytest.mark.parametrize("size", [1, 0, -3, 2.5, True])
def test_a_size_that_is_none_is_refused(size: object) -> None:
    with pytest.raises(ModelError, match="at least 2"):
        classic_filters(size)  # type: ignore[arg-type]
