"""Does something beside the object give the label away, and does the model go by it?"""

import pytest

from cnnaudit.checks import family


@pytest.mark.parametrize("check", family("shortcut"), ids=str)
def test_shortcut(target, check, audit):
    audit(check, target)
