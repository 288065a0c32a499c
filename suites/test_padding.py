"""Does the network owe its answers to the padding around its images?"""

import pytest

from cnnaudit.checks import family


@pytest.mark.parametrize("check", family("padding"), ids=str)
def test_padding(target, check, audit):
    audit(check, target)
