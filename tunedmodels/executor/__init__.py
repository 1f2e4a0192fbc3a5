"""Carrying a plan out: starting, waiting, promoting, retiring."""
