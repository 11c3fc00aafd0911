"""Recipes that come with edgepress."""
