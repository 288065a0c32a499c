"""Reports for people (terminal, Markdown, HTML) and machines (JSON, SARIF), and the comparison of two."""

from cnnaudit.report._compare import Comparison, compare
from cnnaudit.report._markdown import markdown, write_step_summary
from cnnaudit.report.load import load_journal, load_report
from cnnaudit.report.model import Report, describe, environment
from cnnaudit.report.paths import folder_name
from cnnaudit.report.terminal import in_color, terminal_summary
from cnnaudit.report.write import write_card, write_index, write_report

__all__ = [
    "Comparison",
    "Report",
    "compare",
    "describe",
    "environment",
    "folder_name",
    "in_color",
    "load_journal",
    "load_report",
    "markdown",
    "terminal_summary",
    "write_card",
    "write_index",
    "write_report",
    "write_step_summary",
]
