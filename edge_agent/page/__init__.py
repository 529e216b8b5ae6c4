"""The agent's own page: what a technician in the shop wants to see. Imported when first visited."""
