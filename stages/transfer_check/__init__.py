"""What features are worth on a second task: the stage, the trainings that it compares, and what it says of them."""
