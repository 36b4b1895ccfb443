"""The benchmarks' workloads are what they claim to be, and their books agree."""
