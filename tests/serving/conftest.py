"""Dumps as servers. The records come from the tests of outputs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "outputs"))
sys.path.insert(0, str(Path(__file__).parent))
