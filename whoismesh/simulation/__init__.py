"""Whole crawls on a virtual clock, with everything that can go wrong: the real engines, thousands of times.

`world` is one mesh, made of `clock`, `network`, `hosts` (workers), `coordinator` and `registries`; `faults` plans what
goes wrong, `invariants` and `audits` check what must hold nevertheless; `run` plays seeds and adds up what they cost.
"""
