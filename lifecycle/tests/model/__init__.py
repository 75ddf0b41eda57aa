"""Policies, rollouts and faults in any order: what must hold at every step does."""
