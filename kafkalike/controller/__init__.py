"""The controller: one broker that decides who leads what, and tells the others."""
