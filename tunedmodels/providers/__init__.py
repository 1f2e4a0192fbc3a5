"""The places where tuned models live, behind one contract."""
