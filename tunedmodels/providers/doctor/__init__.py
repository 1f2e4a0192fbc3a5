"""Read-only checks for `doctor`: which calls each credential allows."""
