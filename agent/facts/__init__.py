"""Facts of the machine, by source: each module has a pure `parse` and a thin `read`."""
