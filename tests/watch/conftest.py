"""A real crawl to be watched: the field of tests/library, and commands that watch it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_LIBRARY = Path(__file__).parent.parent / "library" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("watched_field", _LIBRARY)
assert _SPEC is not None and _SPEC.loader is not None
_FIELD = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _FIELD  # where its dataclasses look themselves up
_SPEC.loader.exec_module(_FIELD)

in_field, table = _FIELD.in_field, _FIELD.table

# The helpers beside these tests are plain modules; importlib mode leaves the search path alone.
sys.path.insert(0, str(Path(__file__).parent))
