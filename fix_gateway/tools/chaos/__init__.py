"""`wcx chaos`: a whole venue under faults, and what its clients saw compared with its journal."""
