"""Links from a page to a file or a folder of the project lead to a page of the site that shows it.

In Markdown such a link is a path, `[text](../benchmarks/training_step.py)`, which works as well where the Markdown
itself is read.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

PROJECT = Path(__file__).parents[2]
SCRIPTS = PROJECT / "examples" / "gallery"  # which the gallery shows
LANGUAGES = {".py": "python", ".md": "markdown", ".toml": "toml", ".sh": "bash", ".yml": "yaml", ".ipynb": "json"}


class LinksToSources(SphinxTransform):
    """What MyST made of a path outside docs/, made a link to the page of that file."""

    default_priority = 210  # before the files that are downloaded are collected, and references resolved

    def apply(self, **kwargs: Any) -> None:
        linked = _linked(self.env).setdefault(self.env.docname, set())
        for node in list(self.document.findall(_is_path)):
            target = node["reftarget"].partition("#")[0]
            if node.get("refdomain") == "doc":  # of a link to Markdown, MyST takes off the ending
                path = Path(self.env.srcdir, f"{target}.md").resolve()
            else:
                path = Path(self.env.relfn2path(target, self.env.docname)[1]).resolve()
            if not path.exists() or not path.is_relative_to(PROJECT) or path.is_relative_to(self.env.srcdir):
                continue
            linked.add(path)
            uri = self.app.builder.get_relative_uri(self.env.docname, _page(path))
            node.replace_self(nodes.reference("", "", *node.children, refuri=uri, internal=True))


def _is_path(node: nodes.Node) -> bool:
    return isinstance(node, (addnodes.download_reference, addnodes.pending_xref)) and node.get("reftype") == "myst"


def _linked(env: BuildEnvironment) -> dict[str, set[Path]]:
    """Which files each page links to."""
    if not hasattr(env, "linked_sources"):
        env.linked_sources = {}
    return env.linked_sources


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    _linked(env).pop(docname, None)


def _page(path: Path) -> str:
    if path.is_relative_to(SCRIPTS):
        page = path / "index" if path.is_dir() else path.with_suffix("")
        return f"gallery/{page.relative_to(SCRIPTS).as_posix()}"
    return f"sources/{path.relative_to(PROJECT).as_posix()}"


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each file that is linked, and for each folder one with all of its files."""
    linked = {path for paths in _linked(app.env).values() for path in paths if not path.is_relative_to(SCRIPTS)}
    shown = linked | {file for path in linked if path.is_dir() for file in _files(path)}
    for path in sorted(shown):
        name = path.relative_to(PROJECT).as_posix()
        body = _folder(path) if path.is_dir() else _text(app, path)
        yield _page(path), {"title": name, "body": f"<h1>{escape(name)}</h1>\n{body}"}, "page.html"


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix in LANGUAGES]


def _folder(folder: Path) -> str:
    names = [file.relative_to(folder).as_posix() for file in _files(folder)]
    links = (f'<li><a href="{folder.name}/{name}.html">{escape(name)}</a></li>' for name in names)
    return f"<ul>{''.join(links)}</ul>"


def _text(app: Sphinx, path: Path) -> str:
    language = LANGUAGES.get(path.suffix, "text")
    return str(app.builder.highlighter.highlight_block(path.read_text(), language, linenos=False))


def setup(app: Sphinx) -> None:
    app.add_transform(LinksToSources)
    app.connect("env-purge-doc", forget)
    app.connect("html-collect-pages", pages)
