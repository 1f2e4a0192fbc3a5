"""The Gemini API surface of the service: one module for each REST resource."""
