"""What is true without an agent: worlds whose answers are known on paper, and how far a model or an agent is from them."""
