"""Who a customer is, for shops that ask; and those whom shops made members."""
