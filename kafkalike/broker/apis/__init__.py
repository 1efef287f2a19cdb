"""One module per API that this broker serves, named as the API; the directory is the registry."""
