"""Device profiles that come with edgepress; the loader is `devices/profile.py`."""
