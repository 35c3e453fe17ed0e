"""Which known recipe made somebody else's predictions: the stage and its likelihoods."""
