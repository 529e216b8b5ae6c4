"""Gift cards: which there are, who may guess a PIN how often, and the operations of the shops."""
