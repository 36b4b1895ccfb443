"""`wcx client`: an interactive terminal client on QuickFIX."""
