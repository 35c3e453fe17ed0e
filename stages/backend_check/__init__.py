"""Small networks trained and timed on Keras' backends: the stage, its tasks, and the worker process of one backend."""
