"""The embedded service: the `tunedModels` part of the Gemini API on SQLite, with real training."""
