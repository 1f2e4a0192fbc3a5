"""Vertex AI: jobs that train, the models and endpoints that they leave, and data in a bucket."""
