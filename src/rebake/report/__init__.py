"""Room `report`: renders results for a terminal or as JSON; knows no engine."""
