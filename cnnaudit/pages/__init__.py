"""Web pages that show more than verdicts: each one self-contained file, without script or network."""
