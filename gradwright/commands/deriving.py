"""`gradwright derive`, `list`, `show`, `report`, `primitives` and `include-dir`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import webbrowser
from pathlib import Path

from .errors import fail


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands of this module to a parser."""
    _add_derive(commands)
    listing = commands.add_parser("list", help="list the layers of the scripts")
    listing.add_argument("scripts", nargs="*", type=Path, metavar="SCRIPT")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="print a derivation in the terminal")
    show.add_argument("name", metavar="NAME")
    show.add_argument("--script", type=Path, help="the script that defines it")
    show.set_defaults(run=_show)
    report = commands.add_parser("report", help="open the HTML report, or print its path")
    report.add_argument("name", nargs="?", metavar="NAME", help="a layer; default: the index")
    report.add_argument("--path", action="store_true", help="print the path, open nothing")
    report.set_defaults(run=_report)
    primitives = commands.add_parser("primitives", help="list the notation's primitives")
    primitives.set_defaults(run=_primitives)
    include = commands.add_parser("include-dir", help="print the -I folders of the C++ headers")
    include.set_defaults(run=_include)


def _add_derive(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    derive = commands.add_parser(
        "derive", help="derive, prove, verify and write kernels and reports", allow_abbrev=False,
        description="Derive, prove, verify and write kernels and reports.",
    )  # fmt: skip
    derive.add_argument("what", nargs="*", metavar="NAME|SCRIPT.py", help="layers or own scripts")
    derive.add_argument("--out", type=Path, metavar="FOLDER", help="where own scripts' files go")
    derive.add_argument(
        "--target", action="append", metavar="TARGET", help="numpy or cpp; may be repeated"
    )
    derive.add_argument("--check", action="store_true", help="write nothing; fail on differences")
    derive.add_argument("--jobs", type=_positive, default=os.cpu_count() or 1, metavar="N")
    derive.add_argument("--json", action="store_true", help="print one JSON object")
    derive.set_defaults(run=_derive)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number >= 1, got {text}")
    return value


def _derive(options: argparse.Namespace) -> int:
    from gradwright.codegen.command import DeriveOptions, derive
    from gradwright.codegen.errors import DriftError, GradwrightError

    try:
        targets = tuple(dict.fromkeys(options.target or ()))
        what = tuple(options.what)
        return derive(
            DeriveOptions(what, options.out, targets, options.check, options.jobs, options.json)
        )
    except DriftError as error:
        return _report_error(options, str(error), status=1)
    except GradwrightError as error:
        return _report_error(options, str(error), status=2)


def _report_error(options: argparse.Namespace, message: str, status: int) -> int:
    if options.json:
        print(json.dumps({"layers": {}, "ok": False, "error": message}))
    return fail(message, status)


def _list(options: argparse.Namespace) -> int:
    from gradwright.codegen.errors import GradwrightError
    from gradwright.codegen.inputs import built_in_scripts
    from gradwright.codegen.scripts import load_script

    try:
        for path in options.scripts or built_in_scripts():
            for item in load_script(path):
                print(f"{item.name:28} {path.name:20} {item.title}")
    except GradwrightError as error:
        return fail(str(error))
    return 0


def _show(options: argparse.Namespace) -> int:
    from gradwright.codegen.command import show
    from gradwright.codegen.errors import GradwrightError

    try:
        show(options.name, options.script)
    except GradwrightError as error:
        return fail(str(error))
    return 0


def _report(options: argparse.Namespace) -> int:
    import gradwright.generated

    folder = Path(next(iter(gradwright.generated.__path__))) / "reports"
    page = folder / f"{options.name or 'index'}.html"
    if not page.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.html"))) or "none yet"
        return fail(f"there is no report page {page.name}; known: {known}")
    print(page)
    if not options.path and sys.stdout.isatty() and os.environ.get("DISPLAY"):
        webbrowser.open(page.as_uri())
    return 0


def _primitives(options: argparse.Namespace) -> int:
    del options
    from gradwright.codegen.command import primitives

    primitives()
    return 0


def _include(options: argparse.Namespace) -> int:
    del options
    from gradwright.headers import include_directories

    print(" ".join(f"-I{folder}" for folder in include_directories()))
    return 0
