"""The Gemini API of the service: one module for each REST resource."""
