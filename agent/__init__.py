"""The agent: the program on every machine that discovers, installs, reports and updates it."""

VERSION = "0.1.0"
