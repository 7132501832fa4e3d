"""What moves the reports dock: it reads layers, starts reports, shows and saves them."""
