"""The Jinja environment all targets share: strict, and without any logic about mathematics."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from .optimizer.rule import UpdateRule
from .program import Program


@cache
def environment() -> jinja2.Environment:
    """Templates of the installed package; an undefined name in a template is an error."""
    import gradwright.templates

    folders = [str(Path(p)) for p in gradwright.templates.__path__]
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - these templates write code, the reports' have their own
    )


def relative_source(program: Program | UpdateRule) -> str:
    """The script's name for generated files: folder and file, never a path of this machine."""
    path = Path(program.source)
    return f"{path.parent.name}/{path.name}" if path.parent.name == "derivations" else path.name
