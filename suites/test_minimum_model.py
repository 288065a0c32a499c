"""How small a network suffices?"""

from __future__ import annotations

from cnnaudit.checks.minimum_model import check_minimum_model, check_table


def test_minimum_model(target, audit):
    audit(check_minimum_model, target)


def test_table(target, audit):
    audit(check_table, target)
