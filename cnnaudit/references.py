"""Numbers that the five documents of origin publish, each with its place there: the one table that all others follow.

README, docs, pages and docstrings quote these numbers and no others; `tests/test_references.py` holds them to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnnaudit.core.errors import AuditError
from cnnaudit.core.wording import nearest


@dataclass(frozen=True, slots=True)
class Document:
    """One of the documents: authors as printed on it, title, year, and what kind of document it is."""

    authors: str
    title: str
    year: int
    kind: str


@dataclass(frozen=True, slots=True)
class Published:
    """One published number, or one row of a table.

    Attributes:
        place: section, table or figure of the document.
        values: as printed; shares as shares, so that 98.92 % is .9892.
        says: what the numbers are.
        slip: what contradicts them in the same document, if anything does.
    """

    document: Document
    place: str
    values: tuple[float, ...]
    says: str
    slip: str = ""

    @property
    def value(self) -> float:
        """The number, of an entry that has one."""
        (value,) = self.values
        return value


ESPANA = Document(
    "Irene España",
    "Sensitivity analysis of the CNN learning process using synthetic images",
    2021,
    "master's thesis, Universidad Pontificia Comillas",
)
LEES = Document(
    "Jack A. Lees",
    "Strategies for extracting knowledge from convolutional deep learning architectures",
    2017,
    "bachelor's thesis, Newcastle University",
)
INSA = Document(
    "Othmane Aouassar, Nisrine Madhar, Romain Gea",
    "Visualizing and understanding convolutional networks",
    2019,
    "report, INSA Toulouse",
)
GARRIGA = Document(
    "Carles Garriga",
    "Studying the characterisation of deep CNN neurons",
    2019,
    "master's thesis, Universitat Politècnica de Catalunya",
)
VON_BURG = Document(
    "Lino von Burg",
    "Debugging deep neural networks",
    2017,
    "bachelor's thesis, Zürcher Hochschule für Angewandte Wissenschaften",
)
DOCUMENTS = (ESPANA, LEES, INSA, GARRIGA, VON_BURG)

#: The layers of Garriga's tables 1 to 4, in their order, and how many units each has by the percentages there.
GOOGLENET_UNITS: Mapping[str, int] = {
    "mixed3a": 256,
    "mixed3b": 480,
    "mixed4a": 508,
    "mixed4b": 512,
    "mixed4c": 512,
    "mixed4d": 528,
    "mixed4e": 832,
    "mixed5a": 832,
    "mixed5b": 1024,
}
_BLIND_BY_RULE = (39.0, 41, 38, 33, 14, 31, 42, 36, 62)
_BLIND_BY_EYE = (40.0, 2, 1, 0, 0, 0, 0, 0, 0)
_BORDER_BY_RULE = (2.0, 3, 2, 5, 2, 2, 7, 1, 0)
_BORDER_BY_EYE = (5.0, 8, 34, 17, 10, 11, 2, 0, 0)

PUBLISHED: Mapping[str, Published] = {
    "minimum.1.3": Published(
        ESPANA, "Table I", (16, 1, 1, 0.999), "parameters, features, training and validation accuracy: scaling"
    ),
    "minimum.2.1": Published(ESPANA, "Table I", (16, 1, 0.648, 0.642), "the same of rotation"),
    "minimum.3.0": Published(ESPANA, "Table I", (109, 4, 0.94, 0.93), "the same of scaling plus noise"),
    "minimum.4.0": Published(ESPANA, "Table I", (333, 16, 0.994, 0.988), "the same of rotation plus noise"),
    "minimum.clusters": Published(ESPANA, "section III.B, figures 12 and 18", (7,), "k-means clusters by the elbow"),
    "minimum.corner": Published(ESPANA, "section III.B", (28, 28), "the pixel that zero padding activates"),
    "lenet.parameters": Published(LEES, "section 6.2.1", (113_386,), "parameters of LeNet on MNIST"),
    "lenet.accuracy": Published(LEES, "section 6.2.1", (0.9892,), "its test accuracy after 12 epochs"),
    "vgg4.parameters": Published(LEES, "section 6.2.2", (1_080_470,), "parameters of VGG4 on CIFAR-10"),
    "vgg4.accuracy": Published(LEES, "section 6.2.2", (0.7615,), "its test accuracy after 30 epochs"),
    "vgg16.parameters": Published(LEES, "section 6.2.3", (138_357_544,), "parameters of VGG16"),
    "mnist_cnn.parameters": Published(INSA, "figure 5", (1_199_882,), "parameters of the network on MNIST"),
    "mnist_cnn.accuracy": Published(
        INSA, "section 3.1, figure 6", (0.9881,), "accuracy after 10 epochs", "figure 6 ends at .9879 in validation"
    ),
    "color_blind.rule": Published(
        GARRIGA, "table 3", _BLIND_BY_RULE, "color-blind units by layer, by algorithm 3", "threshold 3, in the text 2"
    ),
    "color_blind.rule.sum": Published(GARRIGA, "table 3, its sum", (sum(_BLIND_BY_RULE),), "over all layers"),
    "color_blind.eye": Published(GARRIGA, "table 1", _BLIND_BY_EYE, "color-blind units by layer, by eye"),
    "color_blind.eye.sum": Published(GARRIGA, "table 1, its sum", (sum(_BLIND_BY_EYE),), "over all layers"),
    "border_aware.rule": Published(GARRIGA, "table 4", _BORDER_BY_RULE, "border-aware units by layer, by algorithm 4"),
    "border_aware.rule.sum": Published(
        GARRIGA, "table 4, its sum", (sum(_BORDER_BY_RULE),), "over all layers", "the text says 25"
    ),
    "border_aware.threshold": Published(GARRIGA, "section 4.2.2", (0.5,), "threshold of algorithm 4"),
    "border_aware.eye": Published(GARRIGA, "table 2", _BORDER_BY_EYE, "border-aware units by layer, by eye"),
    "border_aware.eye.sum": Published(GARRIGA, "table 2, its sum", (sum(_BORDER_BY_EYE),), "over all layers"),
    "googlenet.units": Published(
        GARRIGA, "tables 1 to 4", (sum(GOOGLENET_UNITS.values()),), "units of the nine layers, from the percentages"
    ),
    "clusters": Published(
        GARRIGA, "sections 4.2.3 and 7.2, tables 5 to 17", (3, 6), "fewest and most clusters of units in a layer"
    ),
    "grades": Published(VON_BURG, "section 4.1.1", (430, 400, 30), "students, those who passed, those who failed"),
    "grades.always": Published(
        VON_BURG, "section 4.1.1", (0.93,), "accuracy of 'always pass', 400 of 430", "the text says over 90 %"
    ),
    "grades.median": Published(VON_BURG, "section 4.1.1", (4.75,), "median grade, the moved threshold"),
    "grades.face": Published(VON_BURG, "section 4.2.2", (160, 160), "pixels of a cropped face"),
}


def published(name: str) -> Published:
    """The entry of that name.

    Raises:
        AuditError: there is none.

    Example:
        >>> published("color_blind.rule.sum").value
        336.0
    """
    if name not in PUBLISHED:
        raise AuditError(f"no published number is called {name!r}{nearest(name, PUBLISHED)}")
    return PUBLISHED[name]
