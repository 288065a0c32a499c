"""The pytest plugin: options, fixtures, outcomes and reports of an audit."""

from __future__ import annotations
