"""Benchmarks that compare across machines and over time: cost relative to a reference workload of the same run."""

from cnnaudit.benchmarking._measure import Cost, measure
from cnnaudit.benchmarking.baseline import Baseline, Verdict, gate, learn
from cnnaudit.benchmarking.workloads import Workload, convolution, matrix_product, memory_copy

__all__ = [
    "Baseline",
    "Cost",
    "Verdict",
    "Workload",
    "convolution",
    "gate",
    "learn",
    "matrix_product",
    "measure",
    "memory_copy",
]
