"""Two models' scores and layers compared: the stage, and how layers of two models are matched."""
