"""Every check holds the conformance suite: explained, light, planted, deterministic, calibrated."""

import pytest

from cnnaudit.checks import catalogue
from cnnaudit.testing import checks as conformance

EVERY = list(catalogue().values())
PLANTS = [pytest.param(check, plant, id=f"{check.id}: {plant.name}") for check in EVERY for plant in check.plants]


@pytest.mark.parametrize("check", EVERY, ids=str)
def test_every_check_explains_itself(check):
    conformance.check_explanation(check)


@pytest.mark.parametrize("check", EVERY, ids=str)
def test_every_check_stays_light(check):
    conformance.check_light_import(check)


@pytest.mark.parametrize("check", EVERY, ids=str)
def test_every_check_has_a_null_distribution_of_its_tolerance(check):
    conformance.check_null_distribution(check)


@pytest.mark.parametrize("check", EVERY, ids=str)
def test_every_check_has_plants(check):
    assert check.plants


@pytest.mark.parametrize(("check", "plant"), PLANTS)
def test_every_planted_defect_fails_and_its_twin_passes(check, plant):
    conformance.check_plant(check, plant)
