"""What training and held-out results mean: loss curves read for people."""
