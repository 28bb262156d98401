"""Count what a mesh knows, cell by cell as in a notebook: join, look, iterate, leave.

usage: sizes_notebook.py tcp://COORDINATOR:PORT
"""

# %% Join. In a notebook no `with` is needed: leave with mesh.close(), or by closing the notebook.
import sys
from collections import Counter

import whoismesh

if len(sys.argv) != 2:
    print("usage: sizes_notebook.py tcp://COORDINATOR:PORT", file=sys.stderr)
    sys.exit(2)
try:
    mesh = whoismesh.join_blocking(sys.argv[1])
    mesh.caught_up(timeout_s=60)
except whoismesh.WhoismeshError as error:
    print(f"sizes_notebook: {error}", file=sys.stderr)
    sys.exit(error.exit_code)

# %% Look: everything that was accepted so far.
print(f"{len(mesh)} blocks from {len(mesh.members)} workers")

# %% Iterate: begin with what is known, go on with what comes, stop when nothing came for a second.
sizes: Counter[str] = Counter()
for block in mesh.discoveries(known=True, quiet_s=1):
    sizes[block.registry] += block.range.size
for registry, addresses in sizes.most_common():
    print(f"{registry:8} {addresses:>14,} addresses")

# %% Leave. What is known stays.
mesh.close()
print(f"193.0.6.139: {mesh.hit('193.0.6.139') or 'not known'}")
