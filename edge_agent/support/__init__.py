"""What a shop sends when it needs help: how its agent is, and nothing about people."""
