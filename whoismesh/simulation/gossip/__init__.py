"""Gossip alone on a virtual clock: a fleet's engines, without the crawl around them, until all replicas are alike.

`mesh` is one fleet, made of `process` (a node), `coordinator`, `links` (PUB/SUB and exchanges) and `table` (who knows
what, lightly); `measures` counts what it costs, `run` plays seeds and judges them.
"""
