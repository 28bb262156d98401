"""What a crawl collects: the setting `crawl.depth`."""

from __future__ import annotations

#: The networks that answer for the addresses asked, or also all that lies in them and around them.
DEPTHS = ALLOCATIONS, ASSIGNMENTS = "allocations", "assignments"
