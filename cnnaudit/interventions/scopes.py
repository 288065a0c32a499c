"""Where in the model a forward pass is: module paths, entries and call numbers."""

from __future__ import annotations

from cnnaudit.errors import AuditError


class LayerError(AuditError, KeyError):
    """A layer name that the model does not have, or that the forward pass did not reach."""

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0])
