"""The agent's side of the talk with central."""
