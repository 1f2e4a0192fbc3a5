"""The library page of `serve`: the models of the service in a browser.

Pages are rendered on the server and work without JavaScript. Every change calls the handlers of the
API with the visitor as the caller, so that both have the same rules. The embedded service inside a
command does not import this package.
"""
