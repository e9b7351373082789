"""Room `history`: what builds did, kept in a SQLite file."""
