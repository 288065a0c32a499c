"""Stored measurements: null distributions behind the tolerances, and benchmark results."""
