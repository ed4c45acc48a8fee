RATES = {"de": 19, "fr": 20}  # runs when it is imported: once, before any worker is there
