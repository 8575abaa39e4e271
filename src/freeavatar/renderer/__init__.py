"""Step 3a, for training only: a network that draws avatars from their controls, with gradients."""
