"""Gift cards at the till: head office alone decides, and nothing of a card is kept here."""
