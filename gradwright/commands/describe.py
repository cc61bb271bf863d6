"""From options to the specification of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import UsageError
from .options import Settings, named, shares, supports

if TYPE_CHECKING:
    from gradwright.specification import Specification


def described(given: Settings, sizes: list[int], output: str) -> Specification:
    """The specification; `output` is the output activation unless one was given."""
    from gradwright.specification import specify

    hidden = len(sizes) - 2
    _require_hidden(given, hidden)
    names = [named(text, "--activation") for text in given["activation"].split(",")]
    if len(names) not in (1, hidden):
        raise UsageError(
            f"--activation: {len(names)} names for {hidden} hidden layers; give one, or one for each"
        )
    activations = names * hidden if len(names) == 1 else names
    last = named(given["output-activation"] or output, "--output-activation")
    loss = given["loss"]
    init, support = given.values.get("init"), given["support"]
    try:
        return specify(
            sizes, [*activations, last],
            loss=None if loss is None else named(loss, "--loss"),
            optimizer=named(given["optimizer"], "--optimizer"),
            batchnorm=given["batchnorm"], dropout=given["dropout"], density=shares(given["density"]),
            support=None if support is None else supports(support, "--support"),
            weight_decay=given["weight-decay"] or 0.0, clip_norm=given["clip-norm"],
            label_smoothing=given["label-smoothing"], dtype=given["dtype"],
            init=None if init is None else named(init, "--init"), seed=given.values.get("seed", 0),
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None


def _require_hidden(given: Settings, hidden: int) -> None:
    """Without hidden layers, options about them would do nothing."""
    if hidden:
        return
    for name in ("activation", "batchnorm", "dropout"):
        if name in given.given and given[name]:
            raise UsageError(f"--{name} is for hidden layers; this network has none")
