"""The services that hold tuned models, behind one contract."""
