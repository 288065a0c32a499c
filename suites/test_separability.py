"""Does the network separate what it should?"""

from cnnaudit.checks.separability import check_clusters


def test_clusters(target, audit):
    audit(check_clusters, target)
