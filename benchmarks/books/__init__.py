"""Order books under measurement, ours and others', behind one small interface."""
