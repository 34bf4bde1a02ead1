"""Pure functions of a Report: one module a format."""
