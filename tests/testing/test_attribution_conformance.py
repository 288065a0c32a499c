"""Every method of `METHODS` has every property; a new one is tested here without a test of its own."""

import pytest

from cnnaudit.attribution.methods import METHODS
from cnnaudit.testing import ATTRIBUTION_CHECKS


@pytest.mark.parametrize("check", ATTRIBUTION_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", METHODS)
def test_methods_conform(name, check):
    check(METHODS[name])
