"""Bulk files: the registries' databases as RPSL, split by class (`ripe.db.inetnum.gz`) or whole (`afrinic.db.gz`).

`splitting` and `reading` are pure: bytes to objects, an object to what it means, by the same judgement as live answers.
`selection` finds the outermost registrations of millions in a scratch file, and `files` reads the files themselves.
"""
