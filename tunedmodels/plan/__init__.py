"""The plan: what would happen, why, and what it costs. Pure: no network, no files, no clock."""
