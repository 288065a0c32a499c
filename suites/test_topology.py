"""What shape do the kernels of a layer have together?"""

import pytest

from cnnaudit.checks import family


@pytest.mark.parametrize("check", family("topology"), ids=str)
def test_topology(target, check, audit):
    audit(check, target)
