"""Points: a double-entry ledger, and leases that let a shop spend without asking."""
