"""The embedded service: the Gemini API tunedModels surface on SQLite, with real training."""
