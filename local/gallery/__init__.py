"""The gallery of the local stack: one page to drop pictures into and to see what became of them.

``server`` listens on 127.0.0.1 and decides who may ask. ``pictures`` reads and writes the buckets, and reads executions
and logs, through the public AWS API. ``state`` says how far a picture is. ``api`` calls the product's own API.
``page/`` is what the browser gets: HTML, CSS and JavaScript modules, as they are, without a build step.

Keys and error messages are untrusted text. The page writes them as text only, and the Content-Security-Policy of
``server`` allows scripts and styles of the page alone.
"""
