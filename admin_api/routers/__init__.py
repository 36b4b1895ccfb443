"""REST endpoints, one module a resource."""
