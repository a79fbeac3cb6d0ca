"""Who takes the orders: one wire format, several addresses."""
