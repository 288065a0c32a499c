"""What do the single units of the network hold?"""

from cnnaudit.checks.units import check_active_filters


def test_active_filters(target, audit):
    audit(check_active_filters, target)
