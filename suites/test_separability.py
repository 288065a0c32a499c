"""Does the network separate what it should?"""

import pytest

from cnnaudit.checks import family


@pytest.mark.parametrize("check", family("separability"), ids=str)
def test_separability(target, check, audit):
    audit(check, target)
