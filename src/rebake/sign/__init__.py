"""Room `sign`: signatures of images, what they say, and the check of them."""
