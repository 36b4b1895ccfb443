"""`wcx up`: starts, watches and stops the processes and embedded servers of a venue."""
