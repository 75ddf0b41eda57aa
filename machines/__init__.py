"""Facts: what machines reported about themselves, their state and its history."""
