"""Credits: accounts, their journal, and the transactions that move them."""
