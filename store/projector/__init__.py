"""The read model's writer: from the journal's records to rows in PostgreSQL, exactly once."""
