"""HTTP in and out: predict, jobs, models, data sets and the command line.

Imports `worker` and `model`, never the other way. Never imports torch, but inside the commands
that train, evaluate a run or export.
"""
