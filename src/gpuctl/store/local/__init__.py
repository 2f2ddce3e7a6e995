"""The store that keeps all records in one file on your computer."""
