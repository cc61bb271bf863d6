"""The HTML pages: data for the templates in templates/report, which hold all of the presentation.

Static pages without scripts; one style sheet. Text from scripts is escaped by Jinja2; what is
marked safe here is MathML from `formula` and code from Pygments, both of which escape it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from .. import expression as ex
from ..formula import Name, Operator, latex, row
from ..mathml import expression_box, function_mathml, math_element, shape_box
from ..primitives import PRIMITIVES, example_of, prove_rules
from ..scalar import ScalarFunction
from ..scalar_formula import definition
from ..stable import stable_scalar
from .data import functions_of, report_data
from .equations import (
    Equation, Line, forward_equations, gradient_equations, simplification_lines, sweep_lines,
)  # fmt: skip
from .graph import draw
from .guarantees import guarantees, relative_bound

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "report"
