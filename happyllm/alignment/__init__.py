"""From a model that answers to one that answers as people prefer (chapter 4 of the book)."""

from happyllm.alignment.dpo import dpo_loss, sequence_log_probs

__all__ = ["dpo_loss", "sequence_log_probs"]
