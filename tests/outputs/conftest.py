"""What is made of dumps. Helpers beside these tests are plain modules; importlib mode leaves the search path alone."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
