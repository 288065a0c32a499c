"""What do the single units of the network hold?"""

import pytest

from cnnaudit.checks import family


@pytest.mark.parametrize("check", family("units"), ids=str)
def test_units(target, check, audit):
    audit(check, target)
