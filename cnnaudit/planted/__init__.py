"""Planted defects with known answers, each beside its clean twin: what every check is itself tested on."""

from cnnaudit.checks.plants import Plant, Population, catalogue, plants_for, populations

__all__ = ["Plant", "Population", "catalogue", "plants_for", "populations"]
