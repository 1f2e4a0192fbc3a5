"""Cloud Storage: objects with preconditions, resumable uploads, downloads, and a lock."""
