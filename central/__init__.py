"""Head office: customers, the ledger of points, promotions, the fleet of stores, the web UI."""
