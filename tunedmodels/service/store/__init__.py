"""The SQLite store of the service, and the files next to it."""
