"""Other people's words: the shapes of the services we speak to, and nothing of our own."""
