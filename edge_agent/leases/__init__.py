"""Rights to spend what is limited: what this agent may promise, has spent, and gives back."""
