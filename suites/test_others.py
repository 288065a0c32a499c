"""Checks of other packages that the audit file names in checks.modules."""


def test_others(target, other_check, audit):
    audit(other_check, target)
