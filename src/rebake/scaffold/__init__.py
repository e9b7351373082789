"""Room `scaffold`: new projects from the template, and projects brought up to date with it."""
