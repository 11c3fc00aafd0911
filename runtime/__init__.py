"""Open, run and time an exported file: the only room that travels to the board (Python >= 3.9)."""
