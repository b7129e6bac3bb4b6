"""What the site has beyond the files in docs: the README as its home, and the public names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#]+)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are made of other files."""
    readme = (ROOT / "README.md").read_text("utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=readme))
    files.append(File.generated(config, "api.md", content=_api()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files of the repository that are no pages lead to the repository."""
    folder = "." if page.file.src_uri == "index.md" else f"docs/{Path(page.file.src_uri).parent}"

    def to_repository(link: re.Match[str]) -> str:
        target = (ROOT / folder / link[1]).resolve()
        if target.is_relative_to(ROOT / "docs") or not target.exists():
            return link[1]
        return f"{config.repo_url}/blob/main/{target.relative_to(ROOT).as_posix()}"

    return _LINK.sub(to_repository, markdown)


def _api() -> str:
    """A page that lists what `napari_deepz.__all__` does."""
    module = ast.parse((ROOT / "src/napari_deepz/__init__.py").read_text("utf-8"))
    (names,) = (
        ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return "# Python\n\n" + "\n\n".join(f"::: napari_deepz.{name}" for name in names)
