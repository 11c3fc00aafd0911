"""Data that ships with the package; each archive has a .md with its origin and licence."""
