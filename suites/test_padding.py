"""Does the network owe its answers to the padding around its images?"""

from __future__ import annotations

from cnnaudit.checks.padding import (
    check_blind_spot,
    check_border_maximum,
    check_border_response,
    check_prediction_flip,
    check_uneven_application,
)


def test_uneven_application(target, audit):
    audit(check_uneven_application, target)


def test_border_response(target, audit):
    audit(check_border_response, target)


def test_border_maximum(target, audit):
    audit(check_border_maximum, target)


def test_prediction_flip(target, audit):
    audit(check_prediction_flip, target)


def test_blind_spot(target, audit):
    audit(check_blind_spot, target)
