"""Vertex AI: tuning jobs, the models and endpoints that they create, and data in a bucket."""
