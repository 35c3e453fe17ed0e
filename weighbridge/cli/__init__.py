"""What people type: `weighbridge COMMAND`, a file for each group of commands. No stage imports it."""
