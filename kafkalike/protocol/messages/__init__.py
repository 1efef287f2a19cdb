"""One module per API, named as the API; the directory is the registry."""
