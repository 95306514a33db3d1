"""What a fitted model is asked: how well it predicts, and by which of its latents, pixels and stars."""
