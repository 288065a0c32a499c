"""Web pages that show more than verdicts: self-contained files without network; only the atlas has a script."""
