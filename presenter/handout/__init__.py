"""What goes out of the house: the script for paper, notebooks for students, slides."""
