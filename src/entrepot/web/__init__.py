"""The edge: HTTP doors, and the server that mounts them."""
