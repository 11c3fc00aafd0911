"""The steps of a run, one a file. Each takes files of the steps before it and leaves files and a receipt."""
