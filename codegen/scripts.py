"""Derivation scripts as files: finding them, running them, and what they define.

A script is a Python module and runs with the rights of its user, like any program. Names and
expressions that come out of it are checked before anything else sees them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from .errors import NotationError
from .inputs import derivation_folder
from .notation import Layer
from .optimizer import Optimizer
from .program import display_path, located

Item = Layer | Optimizer


def load_script(path: Path) -> list[Item]:
    """The layers and optimizers a script defines, in the order of the script."""
    if not path.is_file():
        raise NotationError(f"{path}: there is no such script")
    module = _run(path.resolve())
    found = [v for v in vars(module).values() if isinstance(v, Layer | Optimizer)]
    own = [item for item in dict.fromkeys(found) if item.source == module.__file__]
    # A name that `import *` brought keeps its old place in the module when it is defined anew.
    own.sort(key=lambda item: item.function.__code__.co_firstlineno)
    if not own:
        raise NotationError(
            f"{display_path(str(path))}: defines no layer; put @layer or @activation above a "
            "function"
        )
    return own


def _run(path: Path) -> ModuleType:
    name = f"gradwright_script_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if path.parent == derivation_folder().resolve():
        name = f"gradwright.derivations.{path.stem}"
        if name in sys.modules:
            return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    with located(str(path)):
        try:
            specification.loader.exec_module(module)
        except SyntaxError as error:
            sys.modules.pop(name, None)
            raise NotationError(
                f"{display_path(str(path))}:{error.lineno}: {error.msg}"
            ) from None
        except BaseException:
            sys.modules.pop(name, None)
            raise
    return module
