"""The future work of the thesis, done: studies that anybody can run again (`cnnaudit study NAME`)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from cnnaudit.core.errors import AuditError
from cnnaudit.core.wording import nearest
from cnnaudit.studies.study import Study

#: Name of each study -> where it is defined; nothing is imported before it is asked for.
STUDIES: Mapping[str, str] = {
    "pruning": "cnnaudit.studies.pruning:PRUNING",
    "classic-filters": "cnnaudit.studies.classic_filters:CLASSIC_FILTERS",
    "filter-similarity": "cnnaudit.studies.filter_similarity:FILTER_SIMILARITY",
    "noise": "cnnaudit.studies.noise_curve:NOISE",
    "single-pixel": "cnnaudit.studies.single_pixel:SINGLE_PIXEL",
    "activations": "cnnaudit.studies.activations:ACTIVATION_STUDY",
}


def study_named(name: str) -> Study:
    """The study of that name.

    Raises:
        AuditError: there is none.

    Example:
        >>> study_named("noise").title
        'Noise against parameters and accuracy'
    """
    if name not in STUDIES:
        raise AuditError(f"no study is called {name!r}{nearest(name, STUDIES)}")
    module, _, attribute = STUDIES[name].partition(":")
    study: Study = getattr(importlib.import_module(module), attribute)
    return study
