"""The program on the machines. Standard library only; speaks HTTP; see agent/README.md."""
