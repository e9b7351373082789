"""Room `explain`: why steps of a build ran again, and which ones the next build would run."""
