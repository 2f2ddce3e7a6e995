"""Files that belong to your computer, whatever the store: cached prices, exported records, the installed schedule."""
