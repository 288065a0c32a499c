"""How small a network suffices?"""

import pytest

from cnnaudit.checks import family


@pytest.mark.parametrize("check", family("minimum_model"), ids=str)
def test_minimum_model(target, check, audit):
    audit(check, target)
