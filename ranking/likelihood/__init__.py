"""Likelihoods of weak orders: log-likelihood, score and information, for Newton, intervals and influence."""
