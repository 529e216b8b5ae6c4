"""Turn a programme document into the program the engine runs, and into a bundle."""
