"""The only SQL of the product: tables, named statements, the two dialects side by side, transactions."""
