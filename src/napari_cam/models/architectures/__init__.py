"""Networks that can be built by name, with the table that lists them."""
