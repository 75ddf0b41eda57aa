"""The HTTP contract as tables, one file per group of routes; a row is one sentence of it."""
