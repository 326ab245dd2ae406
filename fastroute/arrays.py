"""Integer widths and the one value for absent that every array of the engine uses."""

NONE = -1
"""Absent: no row, no match. Unreachable is a Disposition, impossible is an exception."""
