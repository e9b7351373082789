"""Gates images and what they are made from: scanners, rules of our own, and what is let through."""
