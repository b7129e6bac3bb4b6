"""A run as one value: from where, with what, onto what, into which place; and how it is done."""
