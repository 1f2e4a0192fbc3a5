"""The Gemini API: the provider, and the conversions between its messages and our values."""
