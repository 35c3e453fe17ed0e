"""What could change a number on this machine and in this process: one small collector per source, readers passed in."""
