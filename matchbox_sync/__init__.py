"""Derived configuration: compose, render through matchbox, verify, publish as a revision."""
