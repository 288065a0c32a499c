"""The audit itself: thin tests, one per check, run on every target."""
