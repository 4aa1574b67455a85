"""A model's life: training, evaluation, promotion, registry."""
