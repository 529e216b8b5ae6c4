"""Files carried by hand between this agent and head office, where there is no line."""
