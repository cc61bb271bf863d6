"""The command line: `gradwright derive`, `list`, `show`, `report`, `primitives`, `include-dir`.

Exit status: 0 when all is well, 1 when checked-in files differ (`derive --check`), 2 for a script
that cannot be read or proved and for wrong arguments. Errors are one message on standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

_DESCRIPTION = """\
Write the forward equation of a layer. Gradwright derives its batch matrix-form gradient,
proves it for every batch and layer size, and writes the kernels."""

_EXAMPLES = """\
examples:
  gradwright derive                        derive and verify everything that comes with Gradwright
  gradwright derive softmax                one layer of it
  gradwright derive my_layer.py --out my_package/kernels --target numpy --target cpp
  gradwright derive --check                fail with a diff if the generated files are out of date
  gradwright show softmax                  the derivation, step by step"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ModuleNotFoundError as error:
        extras = ("sympy", "mpmath", "jinja2", "rich", "pygments")
        if (error.name or "").split(".")[0] not in extras:
            raise
        return _fail(
            f"{error.name} is not installed; deriving needs it: pip install 'gradwright[derive]'"
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(f"{error.filename or 'the file system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", status=130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradwright", description=_DESCRIPTION, epilog=_EXAMPLES, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
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
    return parser


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


def _fail(message: str, status: int = 2) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status


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
    return _fail(message, status)


def _list(options: argparse.Namespace) -> int:
    from gradwright.codegen.errors import GradwrightError
    from gradwright.codegen.inputs import built_in_scripts
    from gradwright.codegen.scripts import load_script

    try:
        for path in options.scripts or built_in_scripts():
            for item in load_script(path):
                print(f"{item.name:28} {path.name:20} {item.title}")
    except GradwrightError as error:
        return _fail(str(error))
    return 0


def _show(options: argparse.Namespace) -> int:
    from gradwright.codegen.command import show
    from gradwright.codegen.errors import GradwrightError

    try:
        show(options.name, options.script)
    except GradwrightError as error:
        return _fail(str(error))
    return 0


def _report(options: argparse.Namespace) -> int:
    import gradwright.generated

    folder = Path(next(iter(gradwright.generated.__path__))) / "reports"
    page = folder / f"{options.name or 'index'}.html"
    if not page.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.html"))) or "none yet"
        return _fail(f"there is no report page {page.name}; known: {known}")
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


if __name__ == "__main__":
    sys.exit(main())
