"""The REST door for operators and account holders."""
