"""Drawing: a canvas, what all pictures share, and the things themselves."""
