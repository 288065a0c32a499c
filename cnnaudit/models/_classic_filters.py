"""The filters that people drew by hand before networks learned theirs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnaudit.core.errors import ModelError

_SMOOTHING = {"sobel": (1, 2, 1), "prewitt": (1, 1, 1), "scharr": (3, 10, 3)}


def classic_filters(size: int = 3) -> Mapping[str, np.ndarray]:
    """Sobel, Prewitt, Scharr, diagonal, Laplacian and blur filters by name, each (size, size) with Euclidean norm 1.

    An edge filter answers where the image grows brighter to the right (`x`), downward (`y`), toward the lower right
    (`diagonal down`) or the upper right (`diagonal up`), as `conv2d` applies it (without flipping). Odd sizes above 3
    are the 3x3 filters blurred by the binomial filter of `size - 2`, as is usual for Sobel's. An even size has no
    middle pixel: there, the 2x2 differences, Roberts's diagonals and the blur, blurred likewise.

    Args:
        size: side of the filters, at least 2.

    Returns:
        For odd sizes 12 filters, which span 7 of the 9 dimensions of a 3x3 filter: all edges (odd under a half turn),
        and what is the same in all four directions. For even sizes 5 filters; those of 2x2 span 3 of 4 dimensions.

    Raises:
        ModelError: the size is below 2.

    Source: R. Gonzalez and R. Woods, Digital Image Processing, 4th edition 2018, sections 3.5, 3.6 and 10.2;
        H. Scharr, Optimal operators in digital image processing, 2000.

    Example:
        >>> classic_filters()["prewitt x"].round(2)[0].tolist()
        [-0.41, 0.0, 0.41]
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 2:
        raise ModelError(f"classic_filters: size must be a whole number of at least 2, got {size!r}")
    base = _odd() if size % 2 else _even()
    wider = _binomial(size - (1 if size % 2 == 0 else 2))
    return {name: _unit(_convolved(values, wider)) for name, values in base.items()}


def _odd() -> dict[str, np.ndarray]:
    """The 3x3 filters."""
    difference = np.array([-1.0, 0.0, 1.0])
    filters = {f"{name} x": np.outer(smooth, difference) for name, smooth in _SMOOTHING.items()}
    filters |= {f"{name} y": np.outer(difference, smooth) for name, smooth in _SMOOTHING.items()}
    down = np.array([[-2.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 2.0]])
    return filters | {
        "diagonal down": down,
        "diagonal up": down[::-1],
        "laplacian": np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]),
        "laplacian of 8": np.array([[1.0, 1.0, 1.0], [1.0, -8.0, 1.0], [1.0, 1.0, 1.0]]),
        "box blur": np.ones((3, 3)),
        "gaussian blur": np.outer([1.0, 2.0, 1.0], [1.0, 2.0, 1.0]),
    }


def _even() -> dict[str, np.ndarray]:
    """The 2x2 filters."""
    return {
        "difference x": np.array([[-1.0, 1.0], [-1.0, 1.0]]),
        "difference y": np.array([[-1.0, -1.0], [1.0, 1.0]]),
        "roberts down": np.array([[-1.0, 0.0], [0.0, 1.0]]),
        "roberts up": np.array([[0.0, 1.0], [-1.0, 0.0]]),
        "box blur": np.ones((2, 2)),
    }


def _binomial(size: int) -> np.ndarray:
    """The binomial filter, such as 1 2 1 times 1 2 1; of size 1 it changes nothing."""
    row = np.ones(1)
    for _ in range(size - 1):
        row = np.convolve(row, [1.0, 1.0])
    return np.outer(row, row)


def _convolved(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The full convolution of two small matrices."""
    (h, w), (a, b) = values.shape, kernel.shape
    result = np.zeros((h + a - 1, w + b - 1))
    for row, column in np.ndindex(a, b):
        result[row : row + h, column : column + w] += kernel[row, column] * values
    return result


def _unit(values: np.ndarray) -> np.ndarray:
    """The matrix over its Euclidean norm."""
    return np.asarray(values / np.linalg.norm(values))
