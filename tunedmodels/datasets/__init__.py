"""Training and held-out examples: reading, checking, digesting and comparing them."""
