"""Trust in a t-SNE map: noise that no plane can hold, and too few images."""

import numpy as np

from cnnaudit.checks.separability._small_networks import digits_target, noise_target
from cnnaudit.checks.separability.embedding_trust import embedding_trust
from cnnaudit.target import AuditTarget


def test_a_map_of_noise_is_not_trusted_and_the_table_says_how_many_neighbors_stay():
    found = embedding_trust(noise_target(3))
    everything = found.evidence[0]["rows"][-1]
    assert found.verdict == "fail" and found.statistic < 0.88 and everything[0] == "all"
    assert everything[2] == found.statistic and everything[3] < 0.6


def test_few_images_are_not_judged():
    digits = digits_target(0, trained=False)
    images, labels = digits.sample("validation", 40)
    data = {"validation": (images, np.asarray(labels))}
    found = embedding_trust(AuditTarget.from_arrays("few", digits.model, data, digits.classes))
    assert found.verdict == "not_applicable" and "60 images" in found.summary
