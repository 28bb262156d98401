"""How many questions a second `whoismesh serve` answers: WHOIS, a connection each, and RDAP, over kept connections.

    bin/bench serving [DUMP] [--questions N] [--clients N]

Without a dump it makes one of the practice table. Server and clients share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from whoismesh.addresses import Range, format_address
from whoismesh.dump import open_dump
from whoismesh.practice import cut, snapshot

Client = Callable[[int, list[str]], Coroutine[None, None, None]]


async def whois(port: int, questions: list[str]) -> None:
    for question in questions:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"-r {question}\r\n".encode())
        assert b"% " in await reader.read()
        writer.close()


async def rdap(port: int, questions: list[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for question in questions:
        writer.write(f"GET /ip/{question} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
    writer.close()


async def all_of(client: Client, port: int, questions: list[str], clients: int) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(client(port, questions[number::clients]) for number in range(clients)))
    return len(questions) / (time.perf_counter() - began)


def questions_of(dump: Path, count: int) -> list[str]:
    """Return random addresses of the dump's networks, with some of what nobody holds."""
    with open_dump(dump) as opened:
        ranges: list[Range] = [record.range for record in opened]
    chance = random.Random(1)
    picked = (chance.choice(ranges) for _ in range(count))
    return [format_address(each.family, chance.randint(each.first, each.last)) for each in picked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path, nargs="?")
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dump = args.dump
        if dump is None:
            dump = Path(folder) / "results.msgpack"
            table = Path(cut.__file__).parent / "allocations.csv.gz"
            snapshot.main([str(table), "-o", str(dump)])
        command = [
            sys.executable,
            "-m",
            "whoismesh",
            "serve",
            str(dump),
            "--whois",
            "127.0.0.1:0",
            "--rdap",
            "127.0.0.1:0",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            ready = server.stdout.readline()
            ports = [int(each) for each in re.findall(r":(\d+)", ready)]
            questions = questions_of(dump, args.questions)
            for name, client, port in (("WHOIS", whois, ports[0]), ("RDAP", rdap, ports[1])):
                rate = asyncio.run(all_of(client, port, questions, args.clients))
                print(f"{name}: {rate:,.0f} answers a second to {args.clients} clients at once")
            memory = Path(f"/proc/{server.pid}/status").read_text().partition("VmHWM:")[2].split()[0]
            print(f"the server used {int(memory) / 1024:.0f} MiB at the most")
            server.terminate()


if __name__ == "__main__":
    main()
