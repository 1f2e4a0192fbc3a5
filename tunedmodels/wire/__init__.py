"""Messages of the services that this package calls."""
