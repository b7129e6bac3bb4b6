"""The dock `Neurons`: neurons of a movie, found, put right by hand, and measured."""
