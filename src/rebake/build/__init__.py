"""Room `build`: plans image builds (pure) and runs them."""
