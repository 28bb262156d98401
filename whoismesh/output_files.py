"""Files that appear whole or not at all: written beside their place under another name, then renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from whoismesh.errors import DumpError, TryAgainError
from whoismesh.storage import is_full


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a name to write to; the file is put in its place at the end, and removed where that is not reached.

    A link stays one. Raises DumpError if the file cannot be written, TryAgainError if a disk is full.
    """
    target = Path(os.path.realpath(path))
    temporary = target.parent / f".{target.name[:50]}.{os.getpid()}.part"
    try:
        if target.exists() and not target.is_file():
            # Replacing a folder fails only after all the work, and a device or pipe would be gone.
            raise DumpError(f"{path}: cannot be written: is no regular file; give another file")
        temporary.touch()  # what is wrong with the place is told before all the work, and alike for all formats
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if is_full(error):
            raise TryAgainError(
                f"{path}: cannot be written: {error.strerror}; make room or give another file, then run the same "
                "command again: nothing is lost"
            ) from None
        raise DumpError(f"{path}: cannot be written: {error.strerror}; give another file") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
