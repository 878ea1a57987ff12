"""The tables every run has, made from its rows alone. Pure functions; knows no task and no file.

All keep plan order (first appearance) or sorted labels, and round floats to 6 digits. Accuracy is over scored cases:
status `ok`, with a truth and a prediction. What failed is not wrong, it is missing, and is named beside.
"""
