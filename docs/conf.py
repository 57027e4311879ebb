"""How Sphinx builds these pages: `nox -s docs`. No page needs the network."""

import tomllib
from pathlib import Path

with (Path(__file__).parent.parent / "pyproject.toml").open("rb") as pyproject:
    release = version = tomllib.load(pyproject)["project"]["version"]

project = "trindi"
author = "The trindi developers"
copyright = f"2026, {author}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
nitpicky = False

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
myst_heading_anchors = 3
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"trindi {release}"
