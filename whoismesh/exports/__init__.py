"""Dumps as tables and databases that other programs read: one module a format, and `rows`, which all tables share."""
