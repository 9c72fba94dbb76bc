"""What a process does beside serving: what is past its time goes, and who asked to be forgotten is."""
