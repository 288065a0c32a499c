"""Conformance suites: what every attribution method must hold, whoever wrote it, as scikit-learn's `check_estimator`.

```python
from cnnaudit.testing import check_attribution


def test_my_method_conforms():
    check_attribution(my_method)  # my_method(model, images, class_index, generator) -> (N, C, H, W) or (N, H, W)
```
"""

from cnnaudit.testing.attribution import ATTRIBUTION_CHECKS, check_attribution
from cnnaudit.testing.harness import NotConformingError

__all__ = ["ATTRIBUTION_CHECKS", "NotConformingError", "check_attribution"]
