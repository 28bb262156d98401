"""Print each block as the mesh discovers it, until the crawl is complete.

usage: watch_discoveries.py tcp://COORDINATOR:PORT [--known]

With --known it begins with the blocks that are known already.
"""

import asyncio
import sys

import whoismesh


async def watch(endpoint: str, known: bool) -> None:
    """Follow one mesh to the end of its crawl."""
    async with whoismesh.join(endpoint) as mesh:
        blocks = mesh.discoveries(known=known)
        print(f"joined; {len(mesh.members)} workers", file=sys.stderr, flush=True)
        async for block in blocks:
            print(block, flush=True)
        print(f"complete: {len(mesh)} blocks", file=sys.stderr)


def main() -> int:
    """Return the exit code."""
    known = "--known" in sys.argv[1:]
    arguments = [each for each in sys.argv[1:] if each != "--known"]
    if len(arguments) != 1:
        print((__doc__ or "").split("\n")[2], file=sys.stderr)
        return 2
    try:
        asyncio.run(watch(arguments[0], known))
    except whoismesh.WhoismeshError as error:
        print(f"watch_discoveries: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
