"""K-wise preference training: a ranking stays whole, and each response goes through the model once.

The way of a run: config → data → encoding → reference → trainer → outcome. No Django in here.
"""
