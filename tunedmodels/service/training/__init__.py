"""Training in worker processes: their supervisor, the worker process, and a single job."""
