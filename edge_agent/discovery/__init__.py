"""How tills find their hub on the shop's network, and the hub lets itself be found."""
