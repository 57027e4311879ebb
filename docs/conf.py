"""How Sphinx builds these pages: `nox -s docs`. No page needs the network."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

import reference

import trindi

release = version = trindi.__version__

project = "trindi"
author = "The trindi developers"
copyright = f"2026, {author}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# What stands under performance/ is included by a page.
exclude_patterns = ["_build", "performance/*"]
nitpicky = False
# Docstrings write `code` with one back-quote.
default_role = "code"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
myst_heading_anchors = 3
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"trindi {release}"


def add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add what Sphinx needs and a plain viewer would show as it is: lists of pages, docstrings."""
    if page.rpartition("/")[2] == "index":
        pages = re.findall(r"^- \[.+\]\((.+)\.md\)", source[0], re.M)
        source[0] += "\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"
    elif page == "reference":
        source[0] += "\n## In full\n\n```{eval-rst}\n" + reference.directives() + "\n```\n"


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
