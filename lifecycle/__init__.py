"""Change: config reports, install gate, per-machine strategies, FleetLock slots."""
