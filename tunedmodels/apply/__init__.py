"""Apply: what a plan says is done, announced before it leaves, and never what it does not say."""
