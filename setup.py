"""Packages are found; `suites` and `baselines` are installed as `cnnaudit.suites` and `cnnaudit.baselines`."""

from setuptools import find_packages, setup

OUTSIDE = find_packages(include=["suites*", "baselines*"])

setup(packages=[*find_packages(include=["cnnaudit*"]), *(f"cnnaudit.{package}" for package in OUTSIDE)])
