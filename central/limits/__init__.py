"""Limits of promotions: budgets lent to stores, and what each customer has used."""
