"""May the pictures of what a network looks at be believed?"""

import pytest

from cnnaudit.checks import family


@pytest.mark.parametrize("check", family("fidelity"), ids=str)
def test_fidelity(target, check, audit):
    audit(check, target)
