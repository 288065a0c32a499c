"""Conformance suites for your own checks and methods, as scikit-learn's `check_estimator` is for estimators.

```python
from cnnaudit.testing import check_attribution, check_check


def test_my_method_conforms():
    check_attribution(my_method)  # my_method(model, images, class_index, generator) -> (N, C, H, W) or (N, H, W)


def test_my_check_conforms():
    check_check(my_check)
```
"""

from cnnaudit.testing.attribution import ATTRIBUTION_CHECKS, check_attribution
from cnnaudit.testing.checks import check_check
from cnnaudit.testing.harness import NotConformingError

__all__ = ["ATTRIBUTION_CHECKS", "NotConformingError", "check_attribution", "check_check"]
