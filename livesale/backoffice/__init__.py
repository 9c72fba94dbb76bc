"""The shop behind the counter: staff, products, stock, rooms; commands on the shop's stream."""
