"""The dock that compares virtual with measured planes."""
