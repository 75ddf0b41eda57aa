"""The rules of rolling updates: dataclasses and functions, no database, no clock."""
