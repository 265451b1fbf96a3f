"""How dates are written in each language, where Django's own choice does not suit: 24 hours, no "a.m.".

SHORT_DATETIME_FORMAT is the one with seconds, for jobs and logs.
"""
