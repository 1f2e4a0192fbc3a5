"""Cloud Storage: objects that are written once, uploads that go on where they broke, and a lock."""
