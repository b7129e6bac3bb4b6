"""The dock that refocuses."""
