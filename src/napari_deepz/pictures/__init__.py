"""Pictures and movies made of planes."""
