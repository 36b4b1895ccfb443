"""The FIX door: terminates institutional FIX sessions and turns messages into commands."""
