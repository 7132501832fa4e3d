"""The widgets of the reports dock: the choices, and the report with its table and charts."""
