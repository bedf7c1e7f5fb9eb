"""The two papers' claims, tested on studies of our own: tables of runs in, pages of the documentation out."""
