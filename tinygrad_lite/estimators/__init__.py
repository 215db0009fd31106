"""Estimators of scikit-learn whose model is a module."""
