"""What a target is and what was measured on it; never imports torch."""
