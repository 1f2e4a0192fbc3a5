"""Forges: the services on which changes are reviewed, and the comment that shows the plan there.

This package is above the providers, because it uses their HTTP client: retries are in one place.
"""
