"""What every app may use: errors, addresses, raw queries, leases. Imports no app."""
