"""The command line: `gradwright derive`, `train`, `explain` and the others.

Exit status: 0 when all is well, 1 when checked-in files differ (`derive --check`) or a training
diverged, 2 for a script that cannot be read or proved, for data that cannot be used and for wrong
arguments, 130 after Ctrl-C. Errors are one message on standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from gradwright.commands import deriving, networks
from gradwright.commands.errors import UsageError, fail

_DESCRIPTION = """\
Write the forward equation of a layer. Gradwright derives its batch matrix-form gradient,
proves it for every batch and layer size, and writes the kernels. Networks of them are
trained here too."""

_EXAMPLES = """\
examples:
  gradwright derive                        derive and verify everything that comes with Gradwright
  gradwright derive softmax                one layer of it
  gradwright derive my_layer.py --out my_package/kernels --target numpy --target cpp
  gradwright derive --check                fail with a diff if the generated files are out of date
  gradwright show softmax                  the derivation, step by step
  gradwright explain 784-256-128-10        the whole algorithm of a network, its memory and cost
  gradwright train --data digits --layers 64-128-10 --out run/
  gradwright evaluate run/                 the accuracy on samples held out from training"""

_EXTRAS = {
    "sympy": "derive", "mpmath": "derive", "jinja2": "derive", "rich": "derive",
    "pygments": "derive", "sklearn": "sklearn", "matplotlib": "examples",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except UsageError as error:
        return fail(str(error))
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        what = "deriving" if extra == "derive" else "this command"
        return fail(
            f"{error.name} is not installed; {what} needs it: pip install 'gradwright[{extra}]'"
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return fail(f"{error.filename or 'the file system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return fail("interrupted; nothing was written", status=130)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    made = argparse.ArgumentParser(
        prog="gradwright", description=_DESCRIPTION, epilog=_EXAMPLES, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    deriving.add(commands)
    networks.add(commands)
    return made


if __name__ == "__main__":
    sys.exit(main())
