"""Practice registries: stand-ins for the five regional registries on loopback, answering from a real allocation table.

They exist so that a crawl can be tried, tested and measured without asking a real registry anything.
"""
