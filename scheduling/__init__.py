"""Intent: clusters, roles, which machine holds which role, and why one waits."""
