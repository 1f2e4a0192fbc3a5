"""The use cases: one module for each command that reads or changes live models."""
