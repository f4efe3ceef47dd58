"""The studio: a local web page to pose a portrait, give it a clip's motion, and take the results home. ``mmfa studio``.

The page only shows and asks; pictures and videos are made by pipelines.stages on pipelines.engines, as from the command line.
"""
