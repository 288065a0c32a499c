"""The fifteen common corruptions of Hendrycks and Dietterich (2019) at five severities, batched, on any device."""

from cnnaudit.corruptions._corrupt import CORRUPTIONS, SEVERITIES, SMALLEST, corrupt

__all__ = ["CORRUPTIONS", "SEVERITIES", "SMALLEST", "corrupt"]
