"""The configuration of the documentation site. `make docs` builds it from the pages of this folder, the docstrings and
the examples of examples/gallery.

Nothing is fetched: the build opens no connection, and the pages load nothing from elsewhere.
"""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "site"))

# ---- the project

project = "fastloss"
author = "The fastloss authors"
copyright = "The fastloss authors"
with open(HERE.parent / "pyproject.toml", "rb") as handle:
    release = version = tomllib.load(handle)["project"]["version"]

# ---- the sources

root_doc = "index"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    # those of docs/site
    "api_pages",
    "index_pages",
    "mathml",
]
exclude_patterns = ["site", "losses/figures.py"]
nitpicky = True
nitpick_ignore_regex = [("py:obj", r"(torch|scipy|monai|sklearn|numpy|pyarrow|pandas)\..*")]  # pages elsewhere
html_math_renderer = "mathml"

# ---- pages: Markdown as GitHub shows it

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

# ---- docstrings

default_role = "code"  # as Markdown does with single backticks
autosummary_generate = True
autosummary_context: dict[str, object] = {}
templates_path = ["site/templates"]
autodoc_typehints = "none"  # numpydoc's sections have the types, in words
autodoc_default_options = {"member-order": "bysource"}
numpydoc_show_class_members = False  # the template of a class shows them

# ---- the gallery

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "matplotlib_animations": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "image_srcset": ["2x"],
    "min_reported_time": 60,
}

# ---- the look

html_theme = "pydata_sphinx_theme"
html_title = "fastloss"
html_static_path = ["site/static"]
html_css_files = ["fastloss.css"]
html_favicon = "site/static/fastloss.svg"
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "fastloss"},
    "github_url": "https://github.com/fastloss/fastloss",
    "header_links_before_dropdown": 8,
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],  # the field's name for screen readers is not the text that it shows
    "show_prev_next": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
