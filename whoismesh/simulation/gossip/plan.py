"""What a simulated fleet is made of, and how unkind its world is."""

from __future__ import annotations

from dataclasses import dataclass

#: Where the coordinator can be: there all the time; away from the moment when all have joined; or away during the
#: middle half of the faults, as a new process when it is back.
COORDINATORS = HERE, AWAY, BACK = "here", "away", "back"


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet. With its seed it decides everything.

    `blocks` are found over `lasting_s` seconds, about `burst` at a time; then everything heals. `loss` is the share of
    PUB/SUB frames lost on each link; at each message of an exchange the connection breaks with chance `broken`. `crash`
    are crashes of each host a minute, `cut_s` how long a part of the hosts is cut off, `dead` the share of hosts that
    die, for good, when all have joined. Without `latency_layer` only exchanges and the lease channel work.
    `delay` is a message's way, seconds, drawn evenly.
    """

    nodes: int = 1_000
    blocks: int = 20_000
    seed: int = 1
    burst: int = 10
    loss: float = 0.1
    broken: float = 0.01
    crash: float = 0.01
    cut_s: float = 20.0
    dead: float = 0.0
    lasting_s: float = 60.0
    coordinator: str = HERE
    latency_layer: bool = True
    delay: tuple[float, float] = (0.005, 0.05)
