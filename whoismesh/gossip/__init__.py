"""How what one node discovers becomes known to all: the pure part.

- `replica`: what a node knows; `guard`: what it does not believe
- `logs`: what it has of each origin's log, digests, deltas
- `peers`: who else is there, whom to listen to, whom to compare with
- `exchange`: comparing with one peer after another; `responder`: answering those that compare
- `engine`: all of it, for one node
"""

from whoismesh.gossip.engine import Gossip

__all__ = ["Gossip"]
