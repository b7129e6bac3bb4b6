"""From one image and its surfaces to refocused planes, one at a time."""
