"""End to end: the whole engine with its processes and the real matchbox, and simulated machines."""
