"""Schemes held against each other: the same data, epochs and student, several seeds.

Each cell of a comparison is a run of its own. Which branch and epoch of a run counts is chosen on
people that are never reported; the table is made of other people. Nothing here imports torch: what
runs left is read, their exported students are measured as they would be served.
"""
