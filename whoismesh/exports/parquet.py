"""Parquet, with pyarrow's quirks in one place."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from whoismesh.errors import UnavailableError
from whoismesh.exports.rows import COLUMNS, row
from whoismesh.networks import Record

#: Rows of one row group: some 50 MB while it is made, and enough for a reader to pass over what it does not want.
GROUP_ROWS = 25_000


def _pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise UnavailableError(
            "Parquet needs the package pyarrow, which is not installed: pip install 'whoismesh[export]'"
        ) from None


def write_parquet(records: Iterable[Record], path: Path) -> None:
    """Write a file of row groups, in the order of the records. Raises UnavailableError without pyarrow."""
    arrow, parquet = _pyarrow()
    types = {
        "text": arrow.string(),
        "texts": arrow.list_(arrow.string()),
        "int": arrow.int64(),
        "float": arrow.float64(),
        "blob": arrow.binary(16),
    }
    schema = arrow.schema([(column.name, types[column.type]) for column in COLUMNS])
    coming = map(row, records)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while rows := list(islice(coming, GROUP_ROWS)):
            arrays = [
                arrow.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            writer.write_batch(arrow.record_batch(arrays, schema=schema), row_group_size=GROUP_ROWS)
