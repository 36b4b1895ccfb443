"""FIX sessions: edge, QuickFIX acceptors, translation, execution reports."""
