"""Training in worker processes: the supervisor, one worker per job, and the job itself."""
