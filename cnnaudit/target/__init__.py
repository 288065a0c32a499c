"""From an audit file to a target: its keys, its model, its images.

No module imports torch at its top, so that reading an audit file stays light.
"""

from cnnaudit.target.audit_target import LABELED, PRODUCTION, AuditTarget, Claims, InputSpec, Split

__all__ = ["LABELED", "PRODUCTION", "AuditTarget", "Claims", "InputSpec", "Split"]
