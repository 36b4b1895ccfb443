"""PostgreSQL, shared by both doors: firms, accounts, FIX sessions and their credentials."""
