"""Plans, states and events in words: one pure function per format."""
