"""The dock `Movie`: a 2D movie becomes a 3D movie, shown while it is made."""
