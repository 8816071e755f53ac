"""Run folders, their records, pretrained models, and the conversion of TF1 checkpoints."""
