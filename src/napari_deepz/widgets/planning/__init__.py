"""The dock `Plan exposures`."""
