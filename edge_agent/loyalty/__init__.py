"""Members, their points and the rights to spend them here, as central last told them."""
