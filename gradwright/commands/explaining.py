"""`gradwright explain`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from .describe import described
from .errors import UsageError
from .networks import _MEMORY, _PROVED, EXPLAIN
from .options import layer_sizes, settings

if TYPE_CHECKING:
    from gradwright.specification import Specification


def run(options: argparse.Namespace) -> int:
    """Print the explanation of the network the options describe."""
    from gradwright.explain import explain

    given = settings(options, (*EXPLAIN, _MEMORY, _PROVED))
    if not options.batch.isdigit() or int(options.batch) < 1:
        raise UsageError(f"--batch: expected a whole number >= 1, got {options.batch!r}")
    specification = described(given, layer_sizes(options.layers), "softmax")
    found = explain(specification, int(options.batch), given["backend"])
    claims = _proved(specification) if given["prove"] else []
    if options.json:
        print(json.dumps(found.to_json() | {"guarantees": claims}))
        return 0
    print(found, end="")
    if claims:
        print("\nWhat is guaranteed")
        for claim in claims:
            print(f"  {claim['state']}: {claim['text']}")
    return 0


def _proved(specification: Specification) -> list[dict[str, str]]:
    from gradwright.codegen.errors import GradwrightError
    from gradwright.codegen.network import derive_network
    from gradwright.codegen.report.network import guarantees
    from gradwright.composition import compose

    try:
        return guarantees(derive_network(compose(specification), "network", "A network."))
    except GradwrightError as error:
        raise UsageError(f"the network cannot be derived: {error}") from None
