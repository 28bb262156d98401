"""The worker's engine: what to ask next, at which registry, how fast, and what the answers mean.

Pure: `Lanes.handle(event, now)` returns instructions. `lane` is one registry's gaps and pace, `engine` ties them
together.
"""

from whoismesh.lanes.engine import Lanes

__all__ = ["Lanes"]
