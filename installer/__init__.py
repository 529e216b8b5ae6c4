"""Setting Kopilka up, and showing that it works."""
