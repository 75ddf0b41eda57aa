"""Load and cost: every figure is a ratio against a yardstick of the same run.

`python -m bench` drives stages; what needs Django runs in processes of its own (`bench.jobs`),
each with its own state directory and database.
"""
