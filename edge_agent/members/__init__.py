"""Who buys: by card, phone or code; too many questions; new members."""
