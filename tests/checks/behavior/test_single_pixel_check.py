"""One pixel that changes the class: the budget of the search, and a model that reads a single pixel."""

import numpy as np
import pytest

from cnnaudit.checks.behavior.single_pixel import single_pixel


@pytest.mark.parametrize(("size", "tries"), [(8, 64), (100, 40), (224, 8)])
def test_the_search_budget_follows_the_image_size(make, size, tries):
    found = single_pixel(make(np.arange(3) % 2, size=size))
    assert f"({tries} pixels tried of each" in found.summary and found.n == 3


def test_a_model_that_reads_one_pixel_is_caught(make):
    found = single_pixel(make(np.arange(100) % 2, size=20))
    assert found.verdict == "fail" and found.statistic == 1.0 and found.n == 50
    assert {location.pixel for location in found.locations} == {(0, 0)}
    assert found.locations[0].image == "validation[0]"
