"""The program that runs in a shop: prices receipts, keeps them, and syncs when it can."""
