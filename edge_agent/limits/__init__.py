"""What customers have used of limited promotions: as central tells it, and as is made here."""
