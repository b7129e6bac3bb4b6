"""Image files in, stacks with physical sizes and provenance out."""
