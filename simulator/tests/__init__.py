"""Tests of the simulator, against a small fake that keeps the engine's HTTP contract."""
