"""How Sphinx builds these pages: `nox -s docs`. No page needs the network."""

import sys
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

import checks
from elements import MARKER, elements_table

with (Path(__file__).parent.parent / "pyproject.toml").open("rb") as pyproject:
    release = version = tomllib.load(pyproject)["project"]["version"]

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


def fill_in(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Put the tables that are made of the code in the places of their markers."""
    source[0] = source[0].replace(MARKER, elements_table())
    source[0] = source[0].replace(checks.MARKER, checks.rules_table())


def setup(app: Sphinx) -> None:
    app.connect("source-read", fill_in)
