"""What differs between systems: installing, applying a config, restarting."""
