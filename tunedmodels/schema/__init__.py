"""What is known of base models, offline: where they are tuned, the limits and the price."""
