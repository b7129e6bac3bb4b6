"""The picture that follows the settings."""
