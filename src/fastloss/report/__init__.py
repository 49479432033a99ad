"""Reports of files: what they hold, and how they are written as JSON and CSV.

`archive/` makes a `FilesReport`. Nothing here reads images or computes losses.
"""
