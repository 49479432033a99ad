"""The evaluation of archives: `evaluate_files`, which reads files ahead while the kernels compute.

`files/` finds out what a file holds; `evaluate` computes. This package decides what the numbers of a pair of files
mean, reads them by windows, and merges the sums.
"""
