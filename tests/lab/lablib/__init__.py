"""The node lab: real Debian nodes (emulated machines, containers) for castoff's tests."""
