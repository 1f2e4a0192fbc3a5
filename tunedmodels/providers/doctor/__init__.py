"""Dry calls for `doctor`: what each credential may do, found out without changing anything."""
