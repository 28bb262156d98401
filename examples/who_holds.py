"""Tell which known block holds each address. Addresses come from the command line, or one a line from standard input.

usage: who_holds.py tcp://COORDINATOR:PORT [ADDRESS...]

Each question is answered in this process: after joining nothing is sent for it.
"""

import sys

import whoismesh


def answer(mesh: whoismesh.BlockingMesh, address: str) -> bool:
    """Print one answer; return whether there was one."""
    try:
        block = mesh.hit(address)
    except whoismesh.AddressError as error:
        print(f"who_holds: {error}", file=sys.stderr)
        return False
    print(f"{address}: {block or 'not known'}", flush=True)
    return block is not None


def main() -> int:
    """Return 0 if every address is in a known block, else 1 or the error's code."""
    if len(sys.argv) < 2:
        print((__doc__ or "").split("\n")[2], file=sys.stderr)
        return 2
    addresses = sys.argv[2:] or (line.strip() for line in sys.stdin if line.strip())
    try:
        with whoismesh.join_blocking(sys.argv[1]) as mesh:
            mesh.caught_up(timeout_s=60)
            answers = [answer(mesh, address) for address in addresses]
    except whoismesh.WhoismeshError as error:
        print(f"who_holds: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0 if all(answers) else 1


if __name__ == "__main__":
    sys.exit(main())
