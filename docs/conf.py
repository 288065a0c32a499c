"""The documentation site: `make docs` builds it, without network and without a warning."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import indent

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generated_pages as generated  # noqa: E402

from cnnaudit import __version__  # noqa: E402

project = "cnnaudit"
author = "the cnnaudit authors"
release = version = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "generated/commands.md", "generated/parts.md"]  # these are included
html_theme = "furo"
html_title = f"cnnaudit {__version__}"
html_static_path = ["_static"]
html_css_files = ["figures.css"]
html_show_copyright = False

nb_execution_mode = "off"  # notebooks/make.py has run it; a build must not depend on the machine's speed
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_typehints = "none"  # signatures have them
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "imported-members": False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]
default_role = "code"
suppress_warnings = ["ref.python"]  # words such as `units` in the type of an attribute are no references


def plain_docstring(app, what, name, obj, options, lines):
    """Write a docstring, plain text with code in backticks, as the reStructuredText that shows it as it is."""
    text, *blocks = re.split(r"```python\n(.*?)```", "\n".join(lines), flags=re.S)
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*|])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"\\ ``{' '.join(part.split())}``\\ " if part else "" for part in parts[1::2]]
    made = "".join(parts) + "".join(f".. code-block:: python\n\n{indent(block, '    ')}\n" for block in blocks[::2])
    lines[:] = made.split("\n")


def setup(app):
    app.connect("builder-inited", lambda app: generated.write(HERE / "generated"))
    app.connect("autodoc-process-docstring", plain_docstring, priority=100)
