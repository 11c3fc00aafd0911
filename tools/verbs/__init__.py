"""One file per verb: options on top, the body with its imports below. Each module gives `command`."""
