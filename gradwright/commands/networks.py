"""`gradwright train`, `evaluate`, `predict`, `resume` and `explain`: their arguments.

What they do stands in `running` and `explaining`, which are loaded when a command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import NETWORK, TRAIN, Option, add_options

_TRAIN = """\
Train a multilayer perceptron and write a run folder. Samples are held out for `evaluate`.
Every option may stand in a TOML file too, under its section; the command line wins:

  [network]
  layers = "64-128-10"
  dropout = 0.2
"""
_TRAIN_EXAMPLES = """\
examples:
  gradwright train --data digits --layers 64-128-10 --out run/
  gradwright train --data spiral --layers 2-64-64-3 --activation tanh --epochs 200 --out run/
  gradwright train --data prices.csv --label price --task regression --standardize \\
      --layers 13-32-1 --out run/
  gradwright train --data digits --layers 64-128-10 --density 0.1,1 --support uniform,none \\
      --out run/
  gradwright train --data mnist/ --layers 784-256-128-10 --batch-size 64 --out run/
  gradwright train --config run/config.toml --epochs 50 --out second/
names take parameters: --optimizer adam:beta1=0.9, --activation leaky_relu:alpha=0.1"""
_EXPLAIN_EXAMPLES = """\
examples:
  gradwright explain 784-256-128-10 --batch 64
  gradwright explain 100-50-1 --activation gelu --output-activation sigmoid --batchnorm
  gradwright explain 784-256-128-10 --json"""
_PROVED = Option(
    "prove", "output", "derive the whole network and prove it (needs gradwright[derive])", "flag",
    False,
)  # fmt: skip
_MEMORY = Option(
    "backend", "output", "whose memory is counted: numpy, kernel by kernel, or cpp, the engine on "
    "one thread", default="numpy", choices=("numpy", "cpp"), metavar="NAME",
)  # fmt: skip
EXPLAIN = tuple(o for o in NETWORK if o.name not in ("layers", "backend", "seed", "init"))


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands of this module to a parser."""
    train = _command(commands, "train", "train a network", _TRAIN, _TRAIN_EXAMPLES)
    train.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with options")
    train.add_argument("--force", action="store_true", help="write over the run in --out")
    train.add_argument("--quiet", action="store_true", help="print no progress")
    add_options(train, TRAIN)
    train.set_defaults(run=_train)

    evaluate = _command(
        commands, "evaluate", "loss and score of a run on samples held out from training",
        "Evaluate a run on its held-out samples, or on other data with targets.", "",
    )  # fmt: skip
    _run_argument(evaluate)
    evaluate.add_argument("--data", metavar="SOURCE", help="other data with targets")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate.set_defaults(run=_evaluate)

    predict = _command(
        commands, "predict", "predictions of a run for the samples of a file",
        "Write one prediction a sample as csv: a class by name, or numbers.", "",
    )  # fmt: skip
    _run_argument(predict)
    predict.add_argument("--data", metavar="SOURCE", required=True, help="samples")
    predict.add_argument(
        "--no-label", action="store_true", help="the csv or npz holds no label, only features"
    )
    predict.add_argument("--probabilities", action="store_true", help="of all classes")
    predict.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")
    predict.set_defaults(run=_predict)

    resume = _command(
        commands, "resume", "go on with a run, as if it had never stopped",
        "Train a run for more epochs with its data and options.", "",
    )  # fmt: skip
    _run_argument(resume)
    resume.add_argument("--epochs", metavar="N", help="how many more; default: those of the run")
    resume.add_argument("--quiet", action="store_true", help="print no progress")
    resume.set_defaults(run=_resume)

    explain = _command(
        commands, "explain", "the whole algorithm of a network, its memory and cost",
        "Print shapes, forward and backward pass, update, memory and operations of a network.",
        _EXPLAIN_EXAMPLES,
    )  # fmt: skip
    explain.add_argument("layers", metavar="SIZES", help="widths, such as 784-256-128-10")
    explain.add_argument("--batch", metavar="N", default="32", help="samples a batch; default 32")
    explain.add_argument("--json", action="store_true", help="print one JSON object")
    add_options(explain, (*EXPLAIN, _MEMORY, _PROVED))
    explain.set_defaults(run=_explain)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str,
    examples: str,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=summary, description=description, epilog=examples, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def _run_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run")


def _train(options: argparse.Namespace) -> int:
    from .running import train

    return train(options)


def _evaluate(options: argparse.Namespace) -> int:
    from .using import evaluate

    return evaluate(options)


def _predict(options: argparse.Namespace) -> int:
    from .using import predict

    return predict(options)


def _resume(options: argparse.Namespace) -> int:
    from .running import resume

    return resume(options)


def _explain(options: argparse.Namespace) -> int:
    from .explaining import run

    return run(options)
