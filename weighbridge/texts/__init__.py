"""From texts to token ids, by a tokenizer's own file."""
