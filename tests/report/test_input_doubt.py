"""Where the input is in doubt, every finding about the model says so and keeps its own remedy back."""

import pytest

from cnnaudit.report.input_doubt import HINT, REMEDY, note_input_in_doubt


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_findings_about_the_model_are_noted(finding_of, verdict):
    doubt, other = finding_of("behavior.input", "fail"), finding_of("fidelity.deletion[gradient]", verdict, hint="Old.")
    for order in ([doubt, other], [other, doubt]):
        noted = {finding.check: finding for finding in note_input_in_doubt(order)}
        assert noted["behavior.input"] == doubt
        found = noted["fidelity.deletion[gradient]"]
        assert (found.hint, found.remedy, found.verdict) == (HINT, REMEDY, verdict)


def test_passes_and_findings_about_the_data_alone_stay(finding_of):
    others = [finding_of("padding.blind_spot", "pass"), finding_of("dataset.leakage", "fail")]
    assert note_input_in_doubt([finding_of("behavior.input", "fail"), *others])[1:] == tuple(others)


@pytest.mark.parametrize("verdict", ["pass", "inconclusive"])
def test_without_a_failed_input_nothing_is_noted(finding_of, verdict):
    findings = (finding_of("behavior.input", verdict), finding_of("behavior.claimed_accuracy", "fail"))
    assert note_input_in_doubt(findings) == findings


def test_a_second_call_changes_nothing(finding_of):
    once = note_input_in_doubt([finding_of("behavior.input", "fail"), finding_of("units.dead", "fail")])
    assert note_input_in_doubt(once) == once
