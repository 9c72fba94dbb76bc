"""What the tables hold of people: which column is whose, getting it all in a file, having it erased."""
