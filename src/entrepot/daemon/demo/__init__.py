"""`make demo`: a hub with sample data, and the main job run against it by the real command."""
