"""Drivers: what a machine of the lab is made of."""
