"""The site's settings: `sphinx-build -W --keep-going -n docs docs/_build/html` builds it, without a network."""

import sys
from pathlib import Path

import tinygrad_lite

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "tinygrad_lite"
version = release = tinygrad_lite.__version__
root_doc = "index"
exclude_patterns = ["_build", "extensions"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "cards",
    "docstrings",
    "figures",
    "landmarks",
    "lesson_pages",
    "mathml",
    "pictures",
    "playground",
    "class_report",
    "sources",
    "try_it",
]

# Markdown
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

# The reference: in the order of the source, with types as written there
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_param = False  # a list, so that one entry may stand for several names
napoleon_custom_sections = [("Attributes", "params_style")]
default_role = "literal"
python_maximum_signature_line_length = 88
# Names that occur in signatures and that the site does not describe: those of Python and other libraries, since the
# build does not ask the network for their documentation, and our own private ones and type variables.
nitpick_ignore_regex = [
    (
        "py:class",
        r"(collections|contextlib|hypothesis|numpy|os)\..*|(tuple|list|dict)\[.*|Form|Draw|tinygrad_lite\..*\.(_\w+|[A-Z]|Log|Event)",
    ),
    ("py:exc", r"numpy\..*"),
]

# The gallery: each script of examples/gallery runs during the build
html_extra_path = ["gallery/pages"]
(HERE / "gallery" / "pages").mkdir(parents=True, exist_ok=True)
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "run_stale_examples": True,  # a picture may change with the library while its script stays as it is
    "image_scrapers": ("pictures.collect_pictures",),
    "capture_repr": (),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "abort_on_example_error": True,
}

# The look
highlight_options = {"python": {"stripnl": True}}  # a session ends with an empty line for doctest alone
html_theme = "furo"
html_title = "tinygrad_lite"
html_logo = html_favicon = "static/logo.svg"
html_static_path = ["static"]
templates_path = ["templates"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
