"""Room `cache`: which caches are this project's, how large they are, and what may go."""
