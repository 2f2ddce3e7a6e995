"""How results look: as JSON, as rows, as tables."""
