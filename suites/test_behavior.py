"""Does the model answer as it promises: rightly, steadily, and alike for everybody?"""

import pytest

from cnnaudit.checks import family


@pytest.mark.parametrize("check", family("behavior"), ids=str)
def test_behavior(target, check, audit):
    audit(check, target)
