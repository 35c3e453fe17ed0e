"""What people read: text for terminals, and HTML pages. The only place in `tracking` that words things for people."""
