"""Conformance suites for your own checks and methods, as scikit-learn has them for estimators."""

from cnnaudit.testing.checks import check_check

__all__ = ["check_check"]
