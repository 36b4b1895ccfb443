"""Who is there: tokens of operators, and how fast passwords may be tried."""
