"""Are the data fit to learn from?"""

import pytest

from cnnaudit.checks import family


@pytest.mark.parametrize("check", family("dataset"), ids=str)
def test_dataset(target, check, audit):
    audit(check, target)
