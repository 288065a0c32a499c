"""The direction in which a kernel grows."""

import numpy as np
import pytest

from cnnaudit.topology import slope_direction


@pytest.mark.parametrize("degrees", [0, 45, 90, 200, 359])
def test_the_direction_of_a_slope(degrees):
    y, x = np.mgrid[2:-3:-1, -2:3]
    kernel = np.cos(np.radians(degrees)) * x + np.sin(np.radians(degrees)) * y
    assert np.degrees(slope_direction(kernel[None])[0]) == pytest.approx(degrees, abs=1e-6)
    assert np.isnan(slope_direction((x**2 + y**2)[None])).all()  # a blob grows nowhere
    assert slope_direction(np.array([[[-1.0, 0, 1]]]))[0] == 0  # one row
