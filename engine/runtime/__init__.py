"""The engine process: journal, sequencer, link. What touches the machine lives here."""
