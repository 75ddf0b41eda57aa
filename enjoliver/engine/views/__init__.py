"""The engine's own routes."""
