"""Print which workers join and leave a mesh, and how many blocks were discovered in between. Ctrl-C ends it.

usage: watch_members.py tcp://COORDINATOR:PORT
"""

import asyncio
import sys

import whoismesh


async def watch(endpoint: str) -> None:
    """Follow one mesh for ever."""
    async with whoismesh.join(endpoint) as mesh:
        events = mesh.events()
        for member in mesh.members:
            print(f"here    {member.host}", flush=True)
        print("joined", file=sys.stderr, flush=True)
        discovered = 0
        async for event in events:
            match event:
                case whoismesh.Joined(member):
                    print(f"joined  {member.host}", flush=True)
                case whoismesh.Left(member, how):
                    print(f"{how:7} {member.host}, {discovered} blocks since the last one went", flush=True)
                    discovered = 0
                case whoismesh.Discovered():
                    discovered += 1


def main() -> int:
    """Return the exit code."""
    if len(sys.argv) != 2:
        print((__doc__ or "").split("\n")[2], file=sys.stderr)
        return 2
    try:
        asyncio.run(watch(sys.argv[1]))
    except whoismesh.WhoismeshError as error:
        print(f"watch_members: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
