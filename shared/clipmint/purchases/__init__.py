"""Purchases: packs that are sold, and payments and refunds that stores report."""
