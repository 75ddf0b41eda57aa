"""The boot routes and the sync's own routes."""
