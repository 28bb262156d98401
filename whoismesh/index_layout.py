"""The index of a dump, as bytes: what lies where. Pure; `index_writer` makes one and `index` reads it.

An index is a header and tables of integers, each at a multiple of eight, in the byte order of the machine that made it,
so that they are used where they lie. The address space is cut into stretches with the same records over them
(`segments`); a stretch is its first address and a chain, a chain a record and the chain of what lies around it.

| table | items | what |
|---|---|---|
| `lines` | bytes | one line of text for each record, one after another |
| `records` | bytes | the packed records, one after another; empty where the dump itself has them as they are |
| `line_ends` | 64 bits | the line of record n lies between item n and item n + 1, counted from the file's beginning |
| `record_ends` | 64 bits | record n likewise, in `records` or in the dump |
| `chain_record`, `chain_around` | 32 bits | the record of a chain, and the chain around it or NONE |
| `first_4`, `chain_4` | 32 bits | the stretches of IPv4, from address 0 on; NONE where nothing lies |
| `answer_4` | 32 bits | for each of them the record that answers, or NONE: a step less for a million questions |
| `high_6`, `low_6`, `chain_6`, `answer_6` | 64, 64, 32 and 32 bits | the stretches of IPv6, likewise |
"""

from __future__ import annotations

#: What an index begins with; the last byte is the version of the layout.
MAGIC = b"whoismesh-index\x01"
#: Room for magic, length of the packed header, and header (which has two ends of the dump in it, 8 KiB).
HEADER_BYTES = 16 * 1024
#: No chain, and so no record.
NONE = 0xFFFFFFFF
#: The tables in the order in which they lie, with the format of an item (`memoryview.cast`).
TABLES = {
    "lines": "B",
    "records": "B",
    "line_ends": "Q",
    "record_ends": "Q",
    "chain_record": "I",
    "chain_around": "I",
    "first_4": "I",
    "chain_4": "I",
    "answer_4": "I",
    "high_6": "Q",
    "low_6": "Q",
    "chain_6": "I",
    "answer_6": "I",
}
