"""Backbone warm-up, teacher fine-tuning and on-policy distillation."""
