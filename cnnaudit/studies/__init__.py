"""Experiments on minimum models: pruning, classic filters, noise, similarity of filters, single pixels."""
