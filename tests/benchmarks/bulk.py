"""Objects a second of an import of bulk files by `whoismesh-coord`, and the memory it takes.

The file is made of registrations of RIPE NCC's and APNIC's of a whole allocation table, with made-up assignments inside
of them, in no order: real files have some twenty to one. The coordinator is the daemon, on a state folder of its own;
nobody is asked anything.
"""

import argparse
import csv
import gzip
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from whoismesh.addresses import Range

REGISTRIES = {"ripencc": "RIPE", "apnic": "APNIC"}
OBJECT = """\
inetnum:        {range}
netname:        {name}
descr:          {descr}
country:        {country}
org:            ORG-{number}-RIPE
admin-c:        DUMY-RIPE
tech-c:         DUMY-RIPE
status:         {status}
mnt-by:         EXAMPLE-MNT
created:        2002-09-23T10:13:45Z
last-modified:  2014-10-06T20:53:40Z
source:         {source}
remarks:        ****************************
remarks:        * THIS OBJECT CONTAINS PLACEHOLDER DATA
remarks:        * Please note that all data that is generally regarded as personal
remarks:        * data has been removed from this object.
remarks:        * To view the original object, please query the RIPE Database at:
remarks:        * http://www.ripe.net/whois
remarks:        ****************************

"""


def registrations(table: Path) -> list[tuple[Range, str, str, str]]:
    """Return (range, source, country, name) of what the two registries registered."""
    found = []
    with gzip.open(table, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["registry"] in REGISTRIES and row["status"] in ("allocated", "assigned"):
                where = Range(4, int(row["start"]), int(row["end"]))
                found.append((where, REGISTRIES[row["registry"]], row["country"] or "ZZ", f"Holder {row['holder']}"))
    return found


def write(path: Path, table: Path, objects: int, inside: int) -> int:
    """Write a file of so many objects, of which `inside` for each registration are assignments; return how many."""
    chance = random.Random(7)
    written = []
    for where, source, country, name in chance.sample(registrations(table), objects // (1 + inside)):
        written.append((where, source, country, "ALLOCATED PA", name))
        for _ in range(inside):
            size = min(where.size, 1 << chance.randrange(2, 8))
            first = where.first + chance.randrange(where.size // size) * size
            inner = Range(4, first, first + size - 1)
            written.append((inner, source, country, "ASSIGNED PA", f"Customer of {name}"))
    chance.shuffle(written)
    with gzip.open(path, "wt", 1, encoding="latin-1", errors="replace") as file:
        file.write("# made up from an allocation table\n\n")
        for number, (where, source, country, status, name) in enumerate(written):
            first, last = (".".join(map(str, each.to_bytes(4))) for each in (where.first, where.last))
            file.write(
                OBJECT.format(
                    range=f"{first} - {last}",
                    name=name[:20].upper().replace(" ", "-"),
                    descr=name,
                    country=country,
                    number=number,
                    status=status,
                    source=source,
                )
            )
    return len(written)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="allocation table of all IPv4 (CSV, gzipped)")
    parser.add_argument("--objects", type=int, default=500_000)
    parser.add_argument("--inside", type=int, default=20, help="assignments inside of each registration")
    parser.add_argument("--space", default="ipv4")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ripe.db.inetnum.gz"
        objects = write(path, args.table, args.objects, args.inside)
        print(f"{objects:,} objects, {path.stat().st_size / 2**20:.0f} MiB packed")
        environment = os.environ | {
            "WHOISMESH_CRAWL_SPACE": args.space,
            "WHOISMESH_CRAWL_CONTACT": "bench@example.org",
        }
        log = Path(folder) / "log"
        with log.open("w") as file:
            began = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "whoismesh.coordinator", "--listen", "tcp://127.0.0.1:0",
                 "--state", f"{folder}/s", "--bulk", path],
                env=environment, stderr=file,
            )  # fmt: skip
            peak = 0
            # "bulk_read" comes at a file's end; the workers that are not there are not missed.
            while '"event": "bulk_read"' not in log.read_text():
                if process.poll() is not None:
                    raise SystemExit(log.read_text()[-2_000:])
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = int(status.partition("VmHWM:")[2].split()[0])
                time.sleep(0.2)
            seconds = time.monotonic() - began
            cpu = sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
            process.send_signal(signal.SIGINT)
            process.wait()
        print(next(line for line in log.read_text().splitlines() if '"bulk_read"' in line))
        cpu_s = cpu / os.sysconf("SC_CLK_TCK")
        print(f"{seconds:.1f} s, {cpu_s:.1f} s of the processor, {peak / 1024:.0f} MiB at the most")
        print(f"{objects / seconds:,.0f} objects a second, {objects / cpu_s:,.0f} a second of the processor")


if __name__ == "__main__":
    main()
