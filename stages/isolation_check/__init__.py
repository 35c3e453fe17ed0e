"""Whether other models, batches and processes change what a model says: the stage, its scenarios, and the processes it asks."""
