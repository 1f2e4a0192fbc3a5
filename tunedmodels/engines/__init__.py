"""What really learns inside the embedded service: one file per engine, behind one contract."""
